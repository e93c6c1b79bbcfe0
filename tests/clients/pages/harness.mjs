// Looks at the server's own pages in a real browser, without its windows.
//
// A script calls `scenarios` once, with a function for each thing that somebody does, and is run as
//
//     node tests/clients/pages/SCRIPT.mjs http://127.0.0.1:6080 ['{"facts": "as JSON"}']
//
// Each scenario has a browser profile of its own. Whatever a page complains of fails it, also if all else is as it should be: an
// exception, an error or warning on the console (a forbidden script or style is one), a dialog (none is ever opened by these pages, so it
// is somebody's script), a request that fails or is answered with a status of 400 or more, a request to another host.
//
// SYNCLINE_SCENARIO=WORDS runs those whose names have the words; SYNCLINE_PICTURES=FOLDER keeps the pictures that scenarios take.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

export { assert };

const PATIENCE_MS = 20_000;
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 360, height: 740, isMobile: true, hasTouch: true };

/**
 * Runs scenarios, tells what became of them, and sets the exit code.
 *
 * @param {Object<string, (browser: Visit) => Promise<void>>} all by what they show
 */
export async function scenarios(all) {
  const [base, facts = "{}"] = process.argv.slice(2);
  if (!base) {
    console.error("usage: node SCRIPT.mjs http://HOST:PORT [FACTS]");
    process.exit(1);
  }
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    defaultViewport: DESKTOP,
  });
  try {
    for (const [name, scenario] of Object.entries(all)) {
      if (!name.includes(process.env.SYNCLINE_SCENARIO ?? "")) {
        continue;
      }
      const visit = await Visit.begin(browser, base.replace(/\/+$/, ""), JSON.parse(facts));
      try {
        await scenario(visit);
        assert.deepEqual(visit.complaints, [], "the pages complain");
        console.log(`ok      ${name}`);
      } catch (error) {
        process.exitCode = 1;
        const complaints = visit.complaints.length ? `\n        complaints: ${visit.complaints.join("\n        ")}` : "";
        console.log(`FAILED  ${name}\n        at ${visit.page.url()}\n        ${error.stack}${complaints}`);
        await visit.picture(`failed ${name}`);
      } finally {
        await visit.context.close();
      }
    }
  } finally {
    await browser.close();
  }
}

/** Somebody in front of a browser. */
export class Visit {
  static async begin(browser, base, facts) {
    const visit = new Visit();
    visit.base = base;
    visit.facts = facts;
    visit.context = await browser.createBrowserContext();
    /** What pages complained of, and nobody expected. */
    visit.complaints = [];
    visit.expected = [];
    visit.page = await visit.context.newPage();
    visit.listen(visit.page);
    return visit;
  }

  listen(page) {
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("pageerror", (error) => this.complain(`exception: ${error.message}`));
    page.on("console", (message) => {
      if (["error", "warn"].includes(message.type())) {
        this.complain(`console: ${message.text()} ${message.location()?.url ?? ""}`);
      }
    });
    page.on("dialog", async (dialog) => {
      this.complain(`dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    page.on("requestfailed", (request) => {
      const failure = request.failure()?.errorText;
      // What a page no longer wants, or leaves behind, is nobody's failure.
      if (request.resourceType() !== "fetch" || failure !== "net::ERR_ABORTED") {
        this.complain(`request failed: ${failure} ${request.url()}`);
      }
    });
    page.on("response", (response) => {
      if (response.status() >= 400) {
        this.complain(`HTTP ${response.status()} ${response.url()}`);
      }
    });
    page.on("request", (request) => {
      const address = request.url();
      if (!address.startsWith(this.base) && !address.startsWith("data:") && !address.startsWith("blob:")) {
        this.complain(`request to another host: ${address}`);
      }
    });
  }

  complain(text) {
    if (!this.expected.some((pattern) => pattern.test(text))) {
      this.complaints.push(text);
    }
  }

  /** Passes over complaints of a pattern from now on. */
  expect(pattern) {
    this.expected.push(pattern);
  }

  /** Opens a page by its path; the way it would be shown, without an error in it unless one is expected. */
  async open(path, { failing = false } = {}) {
    const response = await this.page.goto(path.startsWith("http") ? path : this.base + path, { waitUntil: "load" });
    const failure = await this.error();
    assert.equal(failure !== null, failing, `${path}: ${failure ?? "no error on the page"}`);
    return response;
  }

  /** The text of the page's error; null if there is none. */
  async error() {
    return this.page.evaluate(() => document.querySelector(".error")?.innerText ?? null);
  }

  /** Follows the link with a text, or presses the button, and waits for the page that comes. */
  async follow(text, { within = "body" } = {}) {
    const found = await this.page.evaluateHandle(
      (text, within) =>
        [...document.querySelectorAll(`${within} :is(a, button)`)].find((one) => one.innerText.trim() === text) ?? null,
      text,
      within,
    );
    const element = found.asElement();
    assert.ok(element, `there is no link or button ${JSON.stringify(text)} on ${this.page.url()}`);
    await Promise.all([this.page.waitForNavigation({ waitUntil: "load" }), element.evaluate((one) => one.click())]);
  }

  /** Fills in fields of a form by their parameters' names. */
  async fill(values) {
    for (const [name, value] of Object.entries(values)) {
      const filled = await this.page.evaluate(
        (name, value) => {
          const fields = [...document.getElementsByName(name)].filter((one) => "value" in one);
          const choices = fields.filter((one) => ["radio", "checkbox"].includes(one.type));
          if (choices.length) {
            const wanted = [value].flat().map(String);
            choices.forEach((one) => (one.checked = wanted.includes(one.value)));
            return choices.some((one) => one.checked) || wanted.length === 0;
          }
          if (fields[0]) {
            fields[0].value = value;
            fields[0].dispatchEvent(new Event("input", { bubbles: true }));
            fields[0].dispatchEvent(new Event("change", { bubbles: true }));
          }
          return Boolean(fields[0]) && fields[0].value === String(value);
        },
        name,
        value,
      );
      assert.ok(filled, `the form on ${this.page.url()} takes no ${name}=${value}`);
    }
  }

  /** The text of an element, or of the page's content; null if there is no such element. */
  async text(selector = "main") {
    return this.page.evaluate((selector) => document.querySelector(selector)?.innerText ?? null, selector);
  }

  /** The texts of all elements that a selector finds. */
  async texts(selector) {
    return this.page.$$eval(selector, (all) => all.map((one) => one.innerText.trim()));
  }

  /** Waits until a function of the page is true. */
  async until(condition, ...values) {
    await this.page.waitForFunction(condition, {}, ...values);
  }

  /** Asks the server as a program does. */
  async ask(path, parameters = {}) {
    const response = await fetch(this.base + path, { method: "POST", body: new URLSearchParams({ f: "json", ...parameters }) });
    return response.json();
  }

  /** Has pages shown dark, light, or printed. */
  async show({ dark, print, phone } = {}) {
    if (dark !== undefined) {
      await this.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }]);
    }
    if (print !== undefined) {
      await this.page.emulateMediaType(print ? "print" : "screen");
    }
    if (phone !== undefined) {
      // The browser loads the page anew, and the console asks anew for what it shows.
      await this.page.setViewport(phone ? PHONE : DESKTOP);
      if (await this.page.$("#console")) {
        await this.until(() => !document.querySelector("#console[aria-busy]"));
      }
    }
  }

  /** The page itself must not scroll sideways; tables and maps in it may. */
  async fits() {
    const [needs, has, widest] = await this.page.evaluate(() => {
      const has = document.documentElement.clientWidth;
      const out = [...document.querySelectorAll("body *")].filter(
        (one) => one.getBoundingClientRect().right > has + 1 && !one.closest(".wide:not(.stacked), .map, pre, .skip"),
      );
      return [document.documentElement.scrollWidth, has, out.slice(0, 3).map((one) => one.outerHTML.slice(0, 120))];
    });
    assert.ok(needs <= has, `${this.page.url()} is ${needs} wide on a screen of ${has}: ${widest.join("\n")}`);
  }

  /** Nothing serious that tools can find keeps people from using the page; the contrast of all text is a part of that. */
  async accessible() {
    const source = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
    await this.page.evaluate(source);
    // Colours that are on their way are nobody's.
    await this.page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => {}))));
    const found = await this.page.evaluate(async () => {
      const results = await window.axe.run(document, { resultTypes: ["violations"] });
      return results.violations
        .filter((one) => ["serious", "critical"].includes(one.impact))
        .map((one) => `${one.id}: ${one.help}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).join("; ")}`);
    });
    assert.deepEqual(found, [], `${this.page.url()} is not accessible`);
  }

  /** Keeps a picture of the page, if SYNCLINE_PICTURES says where. */
  async picture(name) {
    const folder = process.env.SYNCLINE_PICTURES;
    if (folder) {
      mkdirSync(folder, { recursive: true });
      await this.page.screenshot({ path: join(folder, `${name.replace(/[^\w-]+/g, "_").slice(0, 80)}.png`), fullPage: true });
    }
  }
}
