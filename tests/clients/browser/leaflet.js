// What a page does with esri-leaflet: it shows layers, queries them and edits one.

import L from "leaflet";
import { featureLayer, query } from "esri-leaflet";
import { run } from "./page.js";

// Callbacks as promises.
const asked = (call) =>
  new Promise((resolve, reject) => {
    call((error, answer, raw) => (error ? reject(new Error(JSON.stringify(error))) : resolve(raw ?? answer)));
  });
const loaded = (layer) => new Promise((resolve) => layer.once("load", resolve));

run(async (service, expect) => {
  const map = L.map("map", { zoomAnimation: false, fadeAnimation: false }).setView([20, 10], 2);
  const countries = featureLayer({ url: `${service}/1`, style: { color: "#567", weight: 1 } });
  const cities = featureLayer({ url: `${service}/0`, pointToLayer: (_, at) => L.circleMarker(at, { radius: 3, color: "#c33" }) });
  const both = Promise.all([loaded(countries), loaded(cities)]);
  countries.addTo(map);
  cities.addTo(map);
  await both;
  const shown = (layer) => {
    let n = 0;
    layer.eachFeature(() => (n += 1));
    return n;
  };
  expect(shown(countries) === 177, `all 177 countries are shown (${shown(countries)})`);
  expect(shown(cities) === 243, `all 243 cities are shown (${shown(cities)})`);
  const document = await asked((done) => cities.metadata(done));
  expect(document.name === "Cities", "metadata is the layer's document");

  const url = `${service}/0`;
  const count = await asked((done) => query({ url }).where("1=1").count(done));
  expect((count.count ?? count) === 243, "count");
  const ids = await asked((done) => query({ url }).where("1=1").ids(done));
  expect((ids.objectIds ?? ids).length === 243, "ids");
  const bounds = await asked((done) => query({ url }).where("1=1").bounds((error, box) => done(error, box)));
  expect(bounds.isValid() && bounds.getWest() < -175, "bounds");
  const near = await asked((done) =>
    query({ url })
      .intersects(L.latLngBounds([47, 5], [55, 15]))
      .run(done),
  );
  expect(near.features.length > 0 && near.features.length < 40, `a rectangle finds ${near.features.length} cities`);

  const survey = featureLayer({ url: `${service}/2`, where: "objectid < 0" });
  survey.addTo(map);
  const point = { type: "Feature", geometry: { type: "Point", coordinates: [11.5, 48.1] }, properties: { name: "leaflet & 水 100 % +" } };
  const added = await asked((done) => survey.addFeature(point, done));
  const id = (added.addResults?.[0] ?? added).objectId;
  expect(id > 0, "addFeature");
  const one = async () => (await asked((done) => query({ url: `${service}/2` }).featureIds([id]).run(done))).features[0];
  let row = await one();
  const name = row.attributes?.name ?? row.properties?.name;
  expect(name === point.properties.name, "its text came as it was");
  await asked((done) =>
    survey.updateFeature({ ...point, id, properties: { name: "moved" }, geometry: { type: "Point", coordinates: [12.5, 47.1] } }, done),
  );
  row = await one();
  const [x, y] = row.geometry.coordinates ?? [row.geometry.x, row.geometry.y];
  expect(Math.abs(x - 12.5) < 1e-5 && Math.abs(y - 47.1) < 1e-5, "updateFeature moves it, though it calls the id OBJECTID");
  await asked((done) => survey.deleteFeature(id, done));
  expect((await one()) === undefined, "deleteFeature");
});
