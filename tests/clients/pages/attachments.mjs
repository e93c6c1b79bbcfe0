// Attachments: sent and shown by pages; whatever is in them, a browser runs nothing of it.

import { assert, scenarios } from "./harness.mjs";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FEATURE = "/arcgis/rest/services/trees/FeatureServer/0/1";
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==", "base64");

async function send(visit, name, type, content) {
  const form = new FormData();
  form.set("f", "json");
  form.set("attachment", new Blob([content], { type }), name);
  const response = await fetch(`${visit.base}${FEATURE}/addAttachment`, { method: "POST", body: form });
  const answer = await response.json();
  assert.equal(answer.addAttachmentResult?.success, true, JSON.stringify(answer));
  return `${visit.base}${FEATURE}/attachments/${answer.addAttachmentResult.objectId}`;
}

await scenarios({
  "a picture is sent by a form and shown": async (visit) => {
    const folder = mkdtempSync(join(tmpdir(), "attachment-"));
    try {
      writeFileSync(join(folder, "pixel.png"), PIXEL);
      await visit.open(FEATURE);
      await visit.follow("Add Attachment");
      const input = await visit.page.$("input[type=file]");
      await input.uploadFile(join(folder, "pixel.png"));
      await visit.follow("Add Attachment", { within: "form" });
      assert.equal(await visit.error(), null);
    } finally {
      rmSync(folder, { recursive: true });
    }
    await visit.open(`${FEATURE}/attachments`);
    assert.match(await visit.text(), /pixel\.png \(\d+\)/);
    await visit.until(() => document.querySelector("img.preview")?.complete);
    assert.ok(await visit.page.$eval("img.preview", (one) => one.naturalWidth > 0), "the picture is there");
    await visit.accessible();
    await visit.picture("attachments");
    await visit.follow("Delete");
    await visit.follow("Delete Attachments", { within: "form" });
    assert.equal(await visit.error(), null);
  },

  "pages, drawings and scripts that somebody attached run nothing": async (visit) => {
    const script = `<script>alert(1);document.title='ran';fetch('/ran')</script>`;
    const hostile = [
      ["page.html", "text/html", `<!DOCTYPE html><title>quiet</title>${script}`],
      ["drawing.svg", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg" onload="alert(2)">${script}</svg>`],
      ["page.xhtml", "application/xhtml+xml", `<html xmlns="http://www.w3.org/1999/xhtml"><head>${script}</head></html>`],
      ["no-picture.png", "image/png", `<!DOCTYPE html>${script}`],
      ["text.txt", "text/plain", `<!DOCTYPE html>${script}`],
    ];
    for (const [name, type, content] of hostile) {
      const address = await send(visit, name, type, content);
      const { headers } = await fetch(address);
      assert.equal(headers.get("x-content-type-options"), "nosniff", name);
      assert.match(headers.get("content-security-policy"), /^sandbox; default-src 'none'/, name);
      if (type !== "image/png") {
        assert.match(headers.get("content-disposition"), /^attachment;/, name);
      }
      // As a page of its own, and within one that a script of this server could be made to show.
      await visit.page.goto(address).catch((error) => assert.match(error.message, /ERR_ABORTED/, name));
      await visit.open(FEATURE);
      await visit.page.evaluate((address) => document.querySelector("main").append(Object.assign(document.createElement("img"), { src: address })), address);
      await visit.page.waitForNetworkIdle({ idleTime: 300 });
      assert.notEqual(await visit.page.title(), "ran", name);
    }
    visit.complaints = visit.complaints.filter((one) => !/ERR_ABORTED/.test(one));
    await visit.open(`${FEATURE}/attachments`);
    await visit.fits();
  },
});
