// Drives a feature service through Esri's REST JS on Node.
//
//     node tests/clients/node_client.mjs http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer
//
// scripts/setup test installs the packages. Reads, edits and synchronizes; what it adds it deletes. Ends with a message and a
// non-zero exit code at the first thing that is not as it must be.

import { readFileSync } from "node:fs";
import { request } from "@esri/arcgis-rest-request";
import {
  addAttachment,
  addFeatures,
  applyEdits,
  deleteAttachments,
  deleteFeatures,
  getAllLayersAndTables,
  getAttachments,
  getFeature,
  getLayer,
  getService,
  queryAllFeatures,
  queryFeatures,
  queryRelated,
  updateAttachment,
  updateFeatures,
} from "@esri/arcgis-rest-feature-service";

function expect(condition, text) {
  if (!condition) {
    throw new Error(`this does not hold: ${text}`);
  }
  console.log(`ok  ${text}`);
}

async function refused(promise, text) {
  const error = await promise.then(
    () => null,
    (error) => error,
  );
  expect(error?.name === "ArcGISRequestError" && error.code >= 400 && error.message.length > 0, text);
}

async function read(service) {
  const document = await getService({ url: service });
  expect(document.layers.length === 3 && document.syncEnabled === true, "getService: it has three layers, and sync");
  const all = await getAllLayersAndTables({ url: service });
  expect(all.layers.length === 3 && Array.isArray(all.tables), "getAllLayersAndTables has them all");
  const url = `${service}/2`;
  const layer = await getLayer({ url });
  expect(layer.name === "Survey" && layer.hasAttachments && layer.fields.length === 7, "getLayer describes the third");

  const { count } = await queryFeatures({ url, where: "1=1", returnCountOnly: true });
  const page = await queryFeatures({ url, where: "1=1", returnZ: true, outFields: "*" });
  expect(page.features.length === layer.maxRecordCount && page.exceededTransferLimit === true, "queryFeatures: a page is full and says so");
  const whole = await queryAllFeatures({ url, where: "1=1", outFields: "*" });
  const ids = new Set(whole.features.map((feature) => feature.attributes.objectid));
  expect(ids.size === count && whole.features.length === count, `queryAllFeatures: all ${count} features come, each once`);
  const some = await queryFeatures({ url, objectIds: [1, 7, 11], outFields: ["objectid", "remark"], orderByFields: "objectid" });
  expect(some.features.map((feature) => feature.attributes.objectid).join() === "1,7,11", "queryFeatures finds ids");
  expect(some.features[1].attributes.remark === null && some.features[2].geometry == null, "nulls are nulls");
  const feature = await getFeature({ url, id: 5 });
  expect(feature.attributes.name === "Point 5" && feature.geometry.x === 1280050, "getFeature finds one by its id");
  await refused(queryFeatures({ url, where: "nosuch = 1" }), "a mistake in where is an error of the request");
  await refused(getFeature({ url, id: 99999999 }), "a feature that is not there is an error of the request");
  return layer;
}

/** Statistics of fields and of expressions, related records, and attachments of several features. */
async function ask(url) {
  const outStatistics = [
    { statisticType: "count", onStatisticField: "objectid", outStatisticFieldName: "n" },
    { statisticType: "max", onStatisticField: "depth * 8", outStatisticFieldName: "deepest" },
  ];
  const question = { url, where: "objectid <= 100", outStatistics, groupByFieldsForStatistics: "visits", orderByFields: "n DESC, visits", returnGeometry: false };
  const { features } = await queryFeatures(question);
  const groups = features.map((feature) => feature.attributes);
  expect(groups.length === 68 && groups[0].visits === null && groups[0].n === 33, "queryFeatures: statistics by groups, the largest first");
  expect(groups.find((group) => group.visits === 49)?.deepest === 49, "queryFeatures: a statistic of an expression");

  const related = await queryRelated({ url, objectIds: [1, 2, 3], relationshipId: 0, outFields: "*", params: { orderByFields: "minutes DESC" } });
  const words = related.relatedRecordGroups.map((group) => [group.objectId, ...group.relatedRecords.map((record) => record.attributes.words)]);
  expect(JSON.stringify(words) === JSON.stringify([[1, "wet", null, "dry"], [2, "dry"]]), "queryRelated: records come with the features they belong to");
  const dry = await queryRelated({ url, objectIds: [1, 2, 3], relationshipId: 0, definitionExpression: "words = 'dry'", params: { returnCountOnly: true } });
  expect(JSON.stringify(dry.relatedRecordGroups.map((group) => group.count)) === "[1,1,0]", "queryRelated counts them");
  const back = await queryRelated({ url: url.replace(/2$/, "3"), objectIds: [1], relationshipId: 0, outFields: ["name"], params: { outSR: 4326 } });
  const [point] = back.relatedRecordGroups[0].relatedRecords;
  expect(point.attributes.name === "Point 1" && Math.abs(point.geometry.x - 11.5) < 0.1, `queryRelated: and the other way, with their points (${JSON.stringify(back)})`);

  const put = (featureId, name) => addAttachment({ url, featureId, attachment: new File(["hello"], name, { type: "text/plain" }) });
  const ids = [];
  for (const [featureId, name] of [[1, "a.txt"], [1, "b.txt"], [2, "c.txt"]]) {
    ids.push([featureId, (await put(featureId, name)).addAttachmentResult.objectId]);
  }
  try {
    const { attachmentGroups } = await request(`${url}/queryAttachments`, { params: { objectIds: "1,2,3", attachmentTypes: "text/*" } });
    const names = attachmentGroups.map((group) => [group.parentObjectId, ...group.attachmentInfos.map((info) => info.name)]);
    expect(JSON.stringify(names) === JSON.stringify([[1, "a.txt", "b.txt"], [2, "c.txt"]]), "queryAttachments: those of several features");
  } finally {
    for (const [featureId, id] of ids) {
      await deleteAttachments({ url, featureId, attachmentIds: [id] });
    }
  }
}

async function edit(url) {
  const attributes = { name: 'REST JS & "mehr" 100 % +', visits: 3 };
  const geometry = { x: 11.5, y: 48.1, spatialReference: { wkid: 4326 } };
  const added = await addFeatures({ url, features: [{ attributes, geometry }] });
  const objectid = added.addResults[0].objectId;
  expect(added.addResults[0].success === true, "addFeatures");
  try {
    let row = (await queryFeatures({ url, objectIds: [objectid], outFields: "*", outSR: "4326" })).features[0];
    expect(row.attributes.name === attributes.name, "the text came as it was");
    expect(Math.abs(row.geometry.x - 11.5) < 1e-6 && Math.abs(row.geometry.y - 48.1) < 1e-6, "the point went to the layer's reference and back");
    const updated = await updateFeatures({ url, features: [{ attributes: { objectid, visits: 4 } }] });
    expect(updated.updateResults[0].success === true, "updateFeatures");
    const both = await applyEdits({ url, updates: [{ attributes: { objectid, depth: 1.5 } }] });
    expect(both.updateResults[0].success === true, "applyEdits");
    row = (await queryFeatures({ url, objectIds: [objectid], outFields: "*" })).features[0];
    expect(row.attributes.visits === 4 && row.attributes.depth === 1.5, "both changes are there");
    const { attachmentInfos } = await getAttachments({ url, featureId: objectid });
    expect(Array.isArray(attachmentInfos) && attachmentInfos.length === 0, "getAttachments: it has none");
    const put = await addAttachment({ url, featureId: objectid, attachment: new File(["first"], "note.txt", { type: "text/plain" }) });
    const attachmentId = put.addAttachmentResult.objectId;
    expect(put.addAttachmentResult.success === true, "addAttachment");
    const second = new File(["second version"], "note.txt", { type: "text/plain" });
    const changed = await updateAttachment({ url, featureId: objectid, attachmentId, attachment: second });
    expect(changed.updateAttachmentResult.success === true, "updateAttachment");
    const bytes = await (await fetch(`${url}/${objectid}/attachments/${attachmentId}`)).text();
    expect(bytes === "second version", "the attachment holds what was sent");
    const gone = await deleteAttachments({ url, featureId: objectid, attachmentIds: [attachmentId] });
    expect(gone.deleteAttachmentResults[0].success === true, "deleteAttachments");
  } finally {
    const deleted = await deleteFeatures({ url, objectIds: [objectid] });
    expect(deleted.deleteResults[0].success === true, "deleteFeatures");
  }
}

async function synchronize(service) {
  const call = (path, params) => request(`${service}/${path}`, { params });
  const replica = await call("createReplica", {
    replicaName: "rest-js",
    layers: [0, 2],
    layerQueries: { 2: { queryOption: "useFilter", where: "visits = 7" } },
    syncModel: "perLayer",
    transportType: "esriTransportTypeEmbedded",
    dataFormat: "json",
  });
  const held = replica.layers.find((layer) => layer.id === 2).features;
  expect(held.length > 0 && held.every((feature) => feature.attributes.visits === 7), `createReplica: ${held.length} rows pass its filter`);
  const objectid = held[0].attributes.objectid;
  await updateFeatures({ url: `${service}/2`, features: [{ attributes: { objectid, visits: 8 } }] });
  try {
    const answer = await call("synchronizeReplica", {
      replicaID: replica.replicaID,
      transportType: "esriTransportTypeEmbedded",
      syncLayers: replica.layerServerGens.map((layer) => ({ ...layer, syncDirection: "download" })),
      dataFormat: "json",
    });
    const gone = answer.edits.find((layer) => layer.id === 2).features.deleteIds;
    expect(gone.length === 1, "synchronizeReplica: the row that left the filter is the only one to delete");
  } finally {
    await updateFeatures({ url: `${service}/2`, features: [{ attributes: { objectid, visits: 7 } }] });
    const ended = await call("unRegisterReplica", { replicaID: replica.replicaID });
    expect(ended.success === true, "unRegisterReplica");
  }
  await refused(call("synchronizeReplica", { replicaID: replica.replicaID, replicaServerGen: 1 }), "the replica is gone, which is an error of the request");
}

const service = process.argv[2];
if (!service?.endsWith("/FeatureServer")) {
  console.error("usage: node tests/clients/node_client.mjs URL   (the URL of a FeatureServer)");
  process.exit(1);
}
await read(service);
await ask(`${service}/2`);
await edit(`${service}/2`);
await synchronize(service);
const lock = JSON.parse(readFileSync(new URL("package-lock.json", import.meta.url)));
console.log(`ArcGIS REST JS ${lock.packages["node_modules/@esri/arcgis-rest-feature-service"].version} on Node ${process.version} is content.`);
