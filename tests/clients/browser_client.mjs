// Drives a feature service from a page in a real browser, without its windows: esri-leaflet, or the ArcGIS Maps SDK for JavaScript.
//
//     node tests/clients/browser_client.mjs leaflet|sdk http://127.0.0.1:6080/arcgis/rest/services/natural-earth/FeatureServer [picture.png]
//
// Needs Chromium, and the packages that scripts/setup test installs. The page comes from another origin than the service, so what
// browsers ask of servers is part of the test; every other host is unreachable. Ends with a non-zero exit code at the first thing that
// is not as it must be.

import { createReadStream, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import puppeteer from "puppeteer-core";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const NAMES = { leaflet: ["esri-leaflet", "esri-leaflet"], sdk: ["ArcGIS Maps SDK for JavaScript", "@arcgis/core"] };
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm" };
const PATIENCE_MS = 120_000;

const [which, service, picture] = process.argv.slice(2);
if (!(which in NAMES) || !service?.endsWith("/FeatureServer")) {
  console.error("usage: node tests/clients/browser_client.mjs leaflet|sdk URL [picture.png]   (the URL of a FeatureServer)");
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), "syncline-browser-"));
let server, browser;
try {
  await build({
    entryPoints: { page: join(HERE, "browser", `${which}.js`) },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    logLevel: "error",
    loader: { ".png": "dataurl", ".wasm": "file" },
  });
  const leaflet = which === "leaflet" ? readFileSync(join(HERE, "node_modules/leaflet/dist/leaflet.css"), "utf8") : "";
  writeFileSync(
    join(folder, "index.html"),
    `<!doctype html><meta charset="utf-8"><style>${leaflet} html,body,#map{margin:0;width:100%;height:100%}</style>` +
      `<div id="map"></div><script type="module" src="page.js"></script>`,
  );
  server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    const file = path.startsWith("/assets/") ? join(HERE, "node_modules/@arcgis/core", path) : join(folder, path === "/" ? "index.html" : path);
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      "--use-gl=angle",
      "--use-angle=swiftshader",
      "--enable-unsafe-swiftshader",
    ],
    defaultViewport: { width: 1000, height: 640 },
  });
  const page = await browser.newPage();
  const said = [];
  page.on("console", (message) => said.push(message.text()));
  page.on("pageerror", (error) => said.push(String(error)));
  if (process.env.VERBOSE) {
    page.on("request", (request) => console.log(request.method(), request.url().slice(0, 400), request.postData()?.slice(0, 400) ?? ""));
  }
  page.on("requestfailed", (request) => said.push(`${request.failure()?.errorText} ${request.url()}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/?service=${encodeURIComponent(service)}`);
  const outcome = await page
    .waitForFunction("window.outcome", { timeout: PATIENCE_MS })
    .then((handle) => handle.jsonValue())
    .catch((error) => ({ held: [], failure: `the page does not come to an end: ${error.message}` }));
  if (picture) {
    await page.screenshot({ path: picture });
  }
  for (const text of outcome.held) {
    console.log(`ok  ${text}`);
  }
  if (outcome.failure) {
    throw new Error(`${outcome.failure}\nthe console says:\n${said.slice(-20).join("\n")}`);
  }
  const lock = JSON.parse(readFileSync(join(HERE, "package-lock.json")));
  console.log(`${NAMES[which][0]} ${lock.packages[`node_modules/${NAMES[which][1]}`].version} in ${await browser.version()} is content.`);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await browser?.close();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
}
