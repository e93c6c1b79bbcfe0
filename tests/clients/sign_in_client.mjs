// Signs in to a server with Esri's REST JS on Node, and edits as whoever it is.
//
//     SYNCLINE_USER=ann SYNCLINE_PASSWORD=… node tests/clients/sign_in_client.mjs http://…/FeatureServer
//
// The server must let nobody do anything without saying who they are, and the user must be an editor.

import { ApiKeyManager, ArcGISIdentityManager, request } from "@esri/arcgis-rest-request";
import { addFeatures, deleteFeatures, queryFeatures } from "@esri/arcgis-rest-feature-service";

function expect(condition, text) {
  if (!condition) {
    throw new Error(`this does not hold: ${text}`);
  }
  console.log(`ok  ${text}`);
}

async function failure(promise) {
  return promise.then(
    () => null,
    (error) => error,
  );
}

const [service] = process.argv.slice(2);
const root = service.split("/rest/services/")[0];
const { SYNCLINE_USER: username, SYNCLINE_PASSWORD: password } = process.env;
const url = `${service}/0`;

const none = await failure(queryFeatures({ url, returnCountOnly: true }));
expect(none?.name === "ArcGISAuthError" && none.code === 499, "without signing in a token is required");

// For a server of its own the manager is given a token, and gets others itself when that has expired.
const first = await request(`${root}/tokens/generateToken`, { params: { username, password } });
const fresh = new ArcGISIdentityManager({
  server: root, portal: `${root}/sharing/rest`, username, password, token: first.token, tokenExpires: new Date(first.expires),
});
const seen = await queryFeatures({ url, returnCountOnly: true, authentication: fresh });
expect(seen.count > 0, "a token for a user name and a password lets in");
const person = new ArcGISIdentityManager({
  server: root, portal: `${root}/sharing/rest`, username, password, token: "slt_expired", tokenExpires: new Date(0),
});
const { count } = await queryFeatures({ url, returnCountOnly: true, authentication: person });
expect(count === seen.count, "and when it has expired, the manager gets another");
const features = [{ attributes: { name: "signed in" }, geometry: { x: 8, y: 47, spatialReference: { wkid: 4326 } } }];
const { addResults } = await addFeatures({ url, features, authentication: person });
expect(addResults[0].success, "the user adds a feature");
const { deleteResults } = await deleteFeatures({ url, objectIds: [addResults[0].objectId], authentication: person });
expect(deleteResults[0].success, "and deletes it");

const stranger = new ArcGISIdentityManager({
  server: root, portal: `${root}/sharing/rest`, username, password: `${password}x`, token: "slt_expired", tokenExpires: new Date(0),
});
const wrong = await failure(queryFeatures({ url, returnCountOnly: true, authentication: stranger }));
expect(wrong !== null && !/undefined/.test(wrong.message), `a wrong password is refused: ${wrong?.message}`);

const { token } = first;
const hidden = await request(url, { authentication: ApiKeyManager.fromKey(token), hideToken: true, httpMethod: "GET" });
expect(hidden.name?.length > 0, "a token in a header counts, too");
const old = await failure(request(url, { authentication: ApiKeyManager.fromKey("slt_old") }));
expect(old?.code === 498, "an old one is invalid");
console.log("ArcGIS REST JS is content.");
