// The console by somebody who signs in with name and password: accounts, grants, keys, sessions, the audit log.

import { assert, scenarios } from "./harness.mjs";
import { press, says, settled, signIn, signOut } from "./people.mjs";

const CONSOLE = "/arcgis/console";

/** Looks at a page of the console in all the ways in which somebody may have it before them. */
async function lookedAt(visit, name) {
  await visit.accessible();
  await visit.picture(`console ${name}`);
  await visit.show({ dark: true });
  await visit.accessible();
  await visit.picture(`console ${name} dark`);
  await visit.show({ dark: false, phone: true });
  await visit.fits();
  await visit.picture(`console ${name} phone`);
  await visit.show({ phone: false });
}

const dialog = (name) => `dialog[open] [name=${name}]`;

await scenarios({
  "who is no administrator is told so plainly, and may sign in as another": async (visit) => {
    await visit.page.goto(visit.base + CONSOLE, { waitUntil: "load" });
    await visit.page.waitForSelector("#key");
    assert.equal(await visit.error(), null, "nobody did anything wrong yet");
    await visit.follow("Sign in", { within: "main" });
    await signIn(visit, "ann");
    await says(visit, ".error", "You are signed in as ann, who is not an administrator");
    assert.doesNotMatch(await visit.text("#console"), /behind|replicas/i);
    await visit.accessible();
    await visit.picture("console refused");
    await visit.follow("Sign in as somebody else");
    await signIn(visit, "root");
    await settled(visit);
    assert.match(await visit.text(".account"), /root/);
    await says(visit, "main", "Who is behind");
    await visit.page.reload({ waitUntil: "load" });
    await says(visit, "main", "Who is behind");
    await signOut(visit);
    await visit.page.goto(visit.base + CONSOLE, { waitUntil: "load" });
    await visit.page.waitForSelector("#key");
    assert.equal(await visit.page.evaluate(() => sessionStorage.length), 0, "nothing of the session is kept");
  },

  "a user is added with a password that is shown once, and signs in with it": async (visit) => {
    await signIn(visit, "root", `${CONSOLE}/users`);
    await says(visit, ".entries", "ann");
    await press(visit, "Add a user…");
    await visit.page.waitForSelector(dialog("name"));
    assert.equal(await visit.page.evaluate(() => document.activeElement.name), "name", "the keyboard is where something is to be entered");
    await press(visit, "Add");
    assert.ok(await visit.page.$(`${dialog("name")}:invalid`), "a name is needed");
    await visit.page.type(dialog("name"), "no such name!");
    await press(visit, "Add");
    await says(visit, "dialog .error", "letters, digits");
    await visit.page.$eval(dialog("name"), (one) => { one.value = ""; });
    await visit.page.type(dialog("name"), "dora");
    await visit.accessible();
    await visit.picture("console add user");
    await visit.page.keyboard.press("Enter");
    await visit.page.waitForSelector("output.secret");
    const password = await visit.text("output.secret");
    assert.match(password, /^\S{12,}$/);
    await visit.accessible();
    await visit.picture("console password");
    await press(visit, "Close");
    await says(visit, ".done", "The user dora was added");
    await says(visit, ".entry h2", "dora");
    assert.ok(!(await visit.page.content()).includes(password), "it is shown only once");
    await lookedAt(visit, "users");

    await press(visit, "Roles…");
    await visit.page.click('dialog[open] input[value="editor"]');
    await press(visit, "Set");
    await says(visit, ".done", "The roles of dora were set");
    assert.deepEqual(await visit.texts(".entry .states .badge"), ["enabled", "editor", "viewer"]);
    await signOut(visit);
    await signIn(visit, "dora", "/arcgis/rest/services", password);
    assert.match(await visit.text(".account"), /dora/);
  },

  "a user is given another password, disabled, enabled, linked and removed": async (visit) => {
    await signIn(visit, "root", `${CONSOLE}/users?user=bob`);
    await says(visit, ".entry h2", "bob");
    await press(visit, "New password…");
    await visit.page.waitForSelector(dialog("password"));
    await visit.page.type(dialog("password"), "short");
    await press(visit, "Set the password");
    await says(visit, "dialog .error", "password");
    await visit.page.type(dialog("password"), " and now long enough");
    await press(visit, "Set the password");
    await says(visit, ".done", "The password of bob was set");
    await press(visit, "Link…");
    await visit.page.waitForSelector(dialog("subject"));
    await visit.page.type(dialog("subject"), visit.facts.hostile);
    await visit.page.type(dialog("issuer"), "https://id.example.org/<b>realm</b>");
    await press(visit, "Link");
    await says(visit, ".entry table", "<b>realm</b>");
    await says(visit, ".entry table", "<script>");
    await press(visit, "Disable…");
    await says(visit, "dialog", "all sessions and tokens end");
    assert.equal(await visit.page.evaluate(() => document.activeElement.innerText), "Cancel", "Enter alone does nothing");
    await press(visit, "Disable");
    await says(visit, ".done", "bob is disabled");
    assert.deepEqual((await visit.texts('.entries li[aria-current="true"] .badge')), ["disabled"]);
    await visit.accessible();
    await visit.picture("console user hostile");
    await press(visit, "Enable");
    await says(visit, ".done", "may sign in again");
    await press(visit, "Unlink…");
    await says(visit, "dialog", "no longer vouches");
    await press(visit, "Unlink");
    await says(visit, ".done", "not linked any more");
    await press(visit, "Remove…");
    await says(visit, "dialog", "The account goes");
    await press(visit, "Remove");
    await says(visit, ".done", "bob is removed");
    assert.doesNotMatch(await visit.text(".entries"), /bob/);
  },

  "the last administrator stays": async (visit) => {
    await signIn(visit, "root", `${CONSOLE}/users?user=root`);
    await says(visit, ".entry h2", "root");
    await press(visit, "Remove…");
    await says(visit, "dialog", "The account goes");
    await press(visit, "Remove");
    await says(visit, "dialog .error", "last administrator");
    await press(visit, "Cancel");
    assert.match(await visit.text(".entries"), /root/);
  },

  "a service is granted to a role of one's own, and to everybody": async (visit) => {
    await signIn(visit, "root", `${CONSOLE}/users`);
    await press(visit, "Add a role…");
    await visit.page.waitForSelector(dialog("name"));
    await visit.page.type(dialog("name"), "crew");
    await press(visit, "Add");
    await says(visit, ".done", "The role was added");
    await visit.follow("Grants", { within: "nav" });
    await says(visit, ".empty", "Nothing was granted");
    await press(visit, "Grant…");
    await visit.page.waitForSelector("#grant-role");
    await visit.page.select("#grant-role", "crew");
    await visit.page.select("#grant-access", "manage");
    await visit.accessible();
    await visit.picture("console grant");
    await press(visit, "Grant");
    await says(visit, ".done", "It is granted");
    assert.deepEqual(await visit.texts("tbody tr > :not(:last-child)"), ["trees", "role crew", "manage"]);
    await press(visit, "Grant…");
    await visit.page.waitForSelector("#grant-to");
    await visit.page.select("#grant-to", "anonymous");
    await visit.page.select("#grant-access", "view");
    await press(visit, "Grant");
    await says(visit, "tbody", "everybody");
    assert.ok((await visit.ask("/arcgis/rest/services/trees/FeatureServer")).layers, "everybody may view at once");
    await lookedAt(visit, "grants");
    await press(visit, "End…", { row: "everybody" });
    await says(visit, "dialog", "holds again at once");
    await press(visit, "End it");
    await says(visit, ".done", "The grant has ended");
    assert.equal((await visit.ask("/arcgis/rest/services/trees/FeatureServer")).error.code, 499);
    await press(visit, "Change…");
    await visit.page.waitForSelector("#grant-access");
    assert.equal(await visit.page.$eval("#grant-access", (one) => one.value), "manage");
    await press(visit, "Cancel");
  },

  "a key is made, shown once, works, and is revoked": async (visit) => {
    await signIn(visit, "root", `${CONSOLE}/keys`);
    await visit.page.waitForSelector("#console table, #console .empty");
    await press(visit, "Make a key…");
    await visit.page.waitForSelector(dialog("name"));
    await visit.page.type(dialog("name"), "nightly");
    await visit.page.click('dialog[open] input[value="trees"]');
    await visit.accessible();
    await visit.picture("console key");
    await press(visit, "Make it");
    await visit.page.waitForSelector("output.secret");
    const key = await visit.text("output.secret");
    assert.match(key, /^slk_/);
    await press(visit, "Close");
    await says(visit, ".done", "The key nightly was made");
    assert.ok((await visit.ask("/arcgis/rest/services/trees/FeatureServer", { token: key })).layers);
    await lookedAt(visit, "keys");
    await press(visit, "Revoke…", { row: "nightly" });
    await says(visit, "dialog", "refused at once");
    await press(visit, "Revoke");
    await says(visit, ".done", "counts no longer");
    assert.equal((await visit.ask("/arcgis/rest/services/trees/FeatureServer", { token: key })).error.code, 498);
  },

  "tokens and sessions are seen and ended": async (visit) => {
    const { password, hostile } = visit.facts;
    const { token } = await visit.ask("/arcgis/tokens/generateToken", { username: "ann", password, client: "referer", referer: hostile.slice(0, 200) });
    assert.ok(token);
    await signIn(visit, "root", `${CONSOLE}/sessions`);
    await says(visit, "tbody", "ann");
    await says(visit, "tbody", "<script>");
    assert.equal(await visit.page.$("main script, main img, main b"), null);
    await lookedAt(visit, "sessions");
    await visit.page.select("#choice-user", "ann");
    await visit.until(() => [...document.querySelectorAll("tbody th")].every((one) => one.innerText === "ann"));
    await press(visit, "End…", { row: "<script>" });
    await says(visit, "dialog", "must sign in again");
    await press(visit, "End it");
    await says(visit, ".done", "has ended");
    await visit.until(() => !document.querySelector("#console").innerText.includes("<script>"));
    assert.equal((await visit.ask("/arcgis/rest/services/trees/FeatureServer", { token })).error.code, 498);
  },

  "the audit log is searched, read in pages, and its chain verified": async (visit) => {
    await signIn(visit, "root", `${CONSOLE}/audit`);
    await says(visit, "tbody", "session.begun");
    await lookedAt(visit, "audit");
    await visit.page.select("#choice-what", "key");
    await press(visit, "Search");
    await visit.until(() => [...document.querySelectorAll("tbody td:nth-child(3)")].every((one) => one.innerText.startsWith("key.")));
    await visit.page.type("#audit-actor", "nobody-like-that");
    await visit.page.keyboard.press("Enter");
    await says(visit, ".empty", "Nothing is like that");
    const address = visit.page.url();
    assert.match(address, /actor=nobody-like-that/);
    await visit.page.goto(`${visit.base}${CONSOLE}/audit?action=note`, { waitUntil: "load" });
    await says(visit, "p.note", "Entries 1 to 50");
    await press(visit, "Older");
    await says(visit, "p.note", "Entries 51 to 100");
    await press(visit, "Older");
    await says(visit, "p.note", "Entries 101 to 130");
    await press(visit, "Newer");
    await says(visit, "p.note", "Entries 51 to 100");
    assert.equal(await visit.page.$("main script, main img, main b"), null);
    await visit.page.goto(`${visit.base}${CONSOLE}/audit?until=2001-01-01T00:00`, { waitUntil: "load" });
    await says(visit, ".empty", "Nothing is like that");
    await visit.page.evaluate(() => document.querySelector("details.verify > summary").click());
    await press(visit, "Verify the chain");
    await says(visit, ".done", "as they were written, and none is missing");
    const head = await visit.text("code.head");
    assert.match(head, /^\d+:[0-9a-f]{64}$/);
    await visit.accessible();
    await visit.picture("console audit intact");
    await visit.page.type("#expect", head.replace(/.$/, (last) => (last === "0" ? "1" : "0")));
    await press(visit, "Verify the chain");
    await says(visit, ".error", "had another digest when it was noted");
    await visit.picture("console audit broken");
  },
});
