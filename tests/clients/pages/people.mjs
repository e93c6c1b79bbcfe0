// What people do on many pages: sign in and out, press buttons, read, go about with the keyboard.

import { assert } from "./harness.mjs";

/** Signs in with name and password; first goes to a page, if one is given, for which somebody must be signed in. */
export async function signIn(visit, user, page, password = visit.facts.password) {
  if (page) {
    await visit.open(`/arcgis/login?next=${encodeURIComponent(page)}`);
  }
  assert.equal(await visit.text("h1"), "Login");
  await visit.fill({ username: user, password });
  await visit.follow("Login", { within: "main" });
}

export async function signOut(visit) {
  await visit.follow("Logout");
  assert.match(await visit.text(".account"), /Login/);
}

/** Presses the button with a text, in the open dialog if there is one, or in the row of a table that has another text. */
export async function press(visit, text, { row = "" } = {}) {
  const found = await visit.page.waitForFunction(
    (text, row) => {
      const open = [...document.querySelectorAll("dialog[open]")].at(-1);
      const rows = row ? [...document.querySelectorAll("tr")].filter((one) => one.innerText.includes(row)) : [open ?? document];
      const all = rows.flatMap((one) => [...one.querySelectorAll("button")]).filter((one) => !one.disabled);
      return all.find((one) => one.innerText.trim() === text);
    },
    {},
    text,
    row,
  );
  await found.evaluate((one) => one.click());
}

/** Waits until an element has a text. */
export async function says(visit, selector, text) {
  try {
    await visit.until((selector, text) => [...document.querySelectorAll(selector)].some((one) => one.innerText.includes(text)), selector, text);
  } catch (error) {
    const said = await visit.texts(selector);
    throw new Error(`${selector} never said ${JSON.stringify(text)}, but ${JSON.stringify(said).slice(0, 500)}`, { cause: error });
  }
}

/** Waits until a page of the console shows what it is about. */
export async function settled(visit) {
  await visit.until(() => !document.querySelector("#console[aria-busy]"));
}

/** Goes on with the tabulator until it is at what has a text, a label or a name. */
export async function tabTo(visit, wanted) {
  for (let steps = 0; steps < 150; steps += 1) {
    await visit.page.keyboard.press("Tab");
    const names = await visit.page.evaluate(() => {
      const one = document.activeElement;
      return [one.innerText?.trim(), one.getAttribute("aria-label"), one.name, ...[...(one.labels ?? [])].map((label) => label.innerText.trim())];
    });
    if (names.includes(wanted)) {
      return;
    }
  }
  assert.fail(`the keyboard never comes to ${JSON.stringify(wanted)} on ${visit.page.url()}`);
}

/** Goes to something with the keyboard and presses Enter there; waits for the page that comes, if one does. */
export async function enter(visit, wanted, { page = true } = {}) {
  await tabTo(visit, wanted);
  await Promise.all([page ? visit.page.waitForNavigation({ waitUntil: "load" }) : null, visit.page.keyboard.press("Enter")]);
}
