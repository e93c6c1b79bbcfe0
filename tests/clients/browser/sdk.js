// What an app does with the ArcGIS Maps SDK for JavaScript: it shows layers, queries them, edits, and keeps attachments.

import config from "@arcgis/core/config.js";
import Graphic from "@arcgis/core/Graphic.js";
import Map from "@arcgis/core/Map.js";
import FeatureLayer from "@arcgis/core/layers/FeatureLayer.js";
import MapView from "@arcgis/core/views/MapView.js";
import * as reactiveUtils from "@arcgis/core/core/reactiveUtils.js";
import { run } from "./page.js";

config.assetsPath = "/assets";

run(async (service, expect) => {
  const cities = new FeatureLayer({ url: `${service}/0`, outFields: ["*"] });
  const countries = new FeatureLayer({ url: `${service}/1` });
  const survey = new FeatureLayer({ url: `${service}/2` });
  await Promise.all([cities.load(), countries.load(), survey.load()]);
  expect(cities.geometryType === "point" && countries.geometryType === "polygon", "load: both layers have their geometry");
  expect(survey.hasZ && survey.capabilities.data.supportsAttachment, "load: the survey has heights and attachments");

  expect((await cities.queryFeatureCount()) === 243, "queryFeatureCount");
  const { count, extent } = await cities.queryExtent();
  expect(count === 243 && extent.xmin < -175, "queryExtent has both an extent and a count");
  const ids = await survey.queryObjectIds();
  expect(ids.length === 4500, `queryObjectIds: all 4500, whatever the size of a page (${ids.length})`);
  const page = await survey.queryFeatures({ where: "visits < 10", outFields: ["*"], returnGeometry: true, returnZ: true, start: 10, num: 20 });
  expect(page.features.length === 20 && page.exceededTransferLimit, "queryFeatures: a page");
  const raised = page.features.find((feature) => feature.geometry);
  expect(raised.geometry.z === Number(raised.attributes.name.slice(6)) / 4, "heights come with their points");

  const outStatistics = [{ statisticType: "avg", onStatisticField: "depth", outStatisticFieldName: "mean" }];
  const groups = await survey.queryFeatures({ where: "objectid <= 100", outStatistics, groupByFieldsForStatistics: ["visits"], orderByFields: ["visits DESC"] });
  const mean = groups.features.find((group) => group.attributes.visits === 49)?.attributes.mean;
  expect(groups.features.length === 68 && mean === 49 / 8, `queryFeatures: statistics by groups (${groups.features.length}, ${mean})`);
  const related = await survey.queryRelatedFeatures({ objectIds: [1, 2, 3], relationshipId: 0, outFields: ["words"], orderByFields: ["minutes DESC"] });
  const words = [1, 2, 3].map((id) => related[id]?.features.map((feature) => feature.attributes.words) ?? []);
  expect(JSON.stringify(words) === JSON.stringify([["wet", null, "dry"], ["dry"], []]), `queryRelatedFeatures (${JSON.stringify(words)})`);
  const counts = await survey.queryRelatedFeaturesCount({ objectIds: [1, 2, 3], relationshipId: 0 });
  expect(counts[1] === 3 && counts[2] === 1 && !counts[3], "queryRelatedFeaturesCount");

  const attributes = { name: "SDK & 水 100 % +", visits: 3 };
  const geometry = { type: "point", x: 11.5, y: 48.1, z: 1, spatialReference: { wkid: 4326 } };
  const { addFeatureResults } = await survey.applyEdits({ addFeatures: [new Graphic({ attributes, geometry })] });
  const objectId = addFeatureResults[0].objectId;
  expect(addFeatureResults[0].error === null && objectId > 0, "applyEdits adds");
  const one = async () =>
    (await survey.queryFeatures({ objectIds: [objectId], outFields: ["*"], returnGeometry: true, outSpatialReference: { wkid: 4326 } })).features[0];
  let row = await one();
  expect(row.attributes.name === attributes.name && Math.abs(row.geometry.x - 11.5) < 1e-6, "what was added came as it was");
  row.attributes.visits = 4;
  const { updateFeatureResults } = await survey.applyEdits({ updateFeatures: [row] });
  row = await one();
  expect(updateFeatureResults[0].error === null && row.attributes.visits === 4, "applyEdits updates");
  const form = new FormData();
  form.append("attachment", new Blob(["from a browser"], { type: "text/plain" }), "note.txt");
  form.append("f", "json");
  const put = await survey.addAttachment(row, form);
  expect(put.error === null && put.objectId > 0, "addAttachment");
  const infos = await survey.queryAttachments({ objectIds: [objectId] });
  expect(infos[objectId].map((info) => info.name).join() === "note.txt", "queryAttachments");
  const bytes = await (await fetch(`${service}/2/${objectId}/attachments/${put.objectId}`)).text();
  expect(bytes === "from a browser", "the attachment holds what was sent");
  const gone = await survey.deleteAttachments(row, [put.objectId]);
  expect(gone[0].error === null, "deleteAttachments");
  const { deleteFeatureResults } = await survey.applyEdits({ deleteFeatures: [{ objectId }] });
  expect(deleteFeatureResults[0].error === null && (await one()) === undefined, "applyEdits deletes");

  const view = new MapView({ container: "map", map: new Map({ layers: [countries, cities] }), center: [10, 20], scale: 2e8, spatialReference: { wkid: 3857 } });
  await view.when();
  for (const [layer, n] of [
    [countries, 177],
    [cities, 243],
  ]) {
    const shown = await view.whenLayerView(layer);
    await reactiveUtils.whenOnce(() => !shown.updating);
    const drawn = await shown.queryFeatureCount();
    expect(drawn === n, `the view has drawn ${n} features of ${layer.title} (${drawn})`);
  }
  const seen = await (await view.whenLayerView(cities)).queryFeatures({ where: "1=1", outFields: ["*"], returnGeometry: true, num: 2000 });
  const there = new globalThis.Map((await cities.queryFeatures({ outFields: ["objectid"], returnGeometry: true, outSpatialReference: { wkid: 3857 } })).features.map((f) => [f.attributes.objectid, f.geometry]));
  const off = seen.features
    .map((feature) => {
      const exact = there.get(feature.attributes.objectid);
      return Math.hypot(feature.geometry.x - exact.x, feature.geometry.y - exact.y) / view.resolution;
    })
    .filter((pixels) => !(pixels <= 2));
  expect(off.length === 0, `every city is drawn where it is, to the width of two pixels (${off})`);
});
