// Reads layers as JSON and as protocol buffers with the decoders of Esri's REST JS, and expects the same.
//
//     node tests/clients/forms_client.mjs http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer
//
// scripts/setup test installs the packages. Ends with a message and a non-zero exit code at the first thing that is not as it must be.

import { readFileSync } from "node:fs";
import { queryFeatures } from "@esri/arcgis-rest-feature-service";

const service = process.argv[2];
const ordinates = (geometry) =>
  geometry == null ? [] : geometry.x !== undefined ? [geometry.x, geometry.y] : (geometry.rings ?? geometry.paths).flat(3);
const check = (holds, words) => {
  if (!holds) throw new Error(words);
};

for (const layer of [0, 1]) {
  const question = { url: `${service}/${layer}`, where: "1=1", outFields: "*" };
  const plain = await queryFeatures(question);
  const read = await queryFeatures({ ...question, f: "pbf-as-arcgis" });
  check(read.features.length === plain.features.length && plain.features.length > 100, "all features come");
  check(read.geometryType === plain.geometryType, `${read.geometryType} is not ${plain.geometryType}`);
  plain.features.forEach((feature, index) => {
    const other = read.features[index];
    for (const [name, value] of Object.entries(feature.attributes)) {
      check(other.attributes[name] === value, `${name} is ${other.attributes[name]} and not ${value}`);
    }
    const [expected, found] = [ordinates(feature.geometry), ordinates(other.geometry)];
    check(expected.length === found.length, `feature ${index} has ${found.length} ordinates and not ${expected.length}`);
    expected.forEach((value, at) => check(Math.abs(value - found[at]) < 1e-8, `${found[at]} is not ${value}`));
  });
  const geojson = await queryFeatures({ ...question, f: "pbf-as-geojson" });
  check(geojson.features.length === plain.features.length, "all features come as GeoJSON, too");
}

// An error is found although it is not what was asked for.
const error = await queryFeatures({ url: `${service}/0`, where: "nonsense = 1", f: "pbf-as-arcgis" }).catch((error) => error);
check(error.name === "ArcGISRequestError" && error.code === 400, `the error is read: ${error}`);
const lock = JSON.parse(readFileSync(new URL("package-lock.json", import.meta.url)));
console.log(`The decoders of ArcGIS REST JS ${lock.packages["node_modules/@esri/arcgis-rest-feature-service"].version} are content.`);
