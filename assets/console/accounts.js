// Who may sign in, what each may do, keys of programs, and what of all that counts at the moment.

import {
  admin, badge, button, choice, count, done, empty, facts, field, fill, h, inAddress, latest, link, mark, number, question, secret, table, ticks, time,
  toAddress, trying,
} from "./console-kit.js";

const account = (resource, parameters) => admin(`accounts/${resource}`, parameters);

/** What is entered as the name of something. */
function nameField(label = "Name") {
  return field(label, h("input", { type: "text", id: "new-name", name: "name", required: true, maxlength: "100", autocomplete: "off", spellcheck: "false" }));
}

const valueOf = (content, name) => content.find((one) => one?.querySelector?.(`[name=${name}]`))?.querySelector(`[name=${name}]`).value.trim();

const select = (name, options, value) => h("select", { id: name, name }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));

/** Puts a message at the top, after what it is about is shown as it is now. */
const telling = (news, load) => async (message) => {
  await load();
  fill(news, message);
  news.scrollIntoView({ block: "nearest" });
};

// ----- Users and roles

export async function users(place) {
  const wanted = { ...inAddress() };
  const news = h("div", { "aria-live": "polite" });
  const entries = h("ul.entries", { "aria-label": "Users" });
  const detail = h("section.entry", { "aria-live": "polite", tabindex: "-1" });
  const roleList = h("div", {});
  let all = { users: [], roles: [] };

  const draw = () => {
    const text = search.value.trim().toLowerCase();
    const found = all.users.filter((one) => [one.name, ...one.roles, ...one.identities.map((known) => known.subject)].join(" ").toLowerCase().includes(text));
    fill(entries, found.slice(0, 500).map(entry),
      found.length === 0 ? h("li.nothing", {}, text ? empty("No user is like that.", "Search for another name or role.") : empty("There are no users.", "Add one.")) : null,
      found.length > 500 ? h("li.nothing", {}, `and ${number(found.length - 500)} more; search for a name`) : null);
  };

  const entry = (one) => h("li.plain-entry", { dataset: { id: one.name }, "aria-current": one.name === wanted.user ? "true" : null },
    h("button.plain", { type: "button", onclick: () => show(one.name).then(() => detail.scrollIntoView({ block: "nearest" })) },
      h("span.entry-title", {}, h("bdi", {}, h("strong", {}, one.name)), one.enabled ? null : [" ", badge("problem", "disabled")]),
      h("small", {}, one.roles.join(", ") || "no role")));

  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const [{ users }, { roles }] = await Promise.all([account("users"), account("roles")]);
    if (!isLast()) {
      return;
    }
    all = { users, roles };
    draw();
    fill(roleList, rolesTable(roles, news, load));
    if (wanted.user && users.some((one) => one.name === wanted.user)) {
      await show(wanted.user);
    } else {
      fill(detail, h("p.none", {}, "Choose a user, to see what they may do and to change it."));
    }
  };

  const beginShow = latest();
  const show = async (name) => {
    const isLast = beginShow();
    wanted.user = name;
    toAddress(wanted);
    for (const one of entries.querySelectorAll("li")) {
      mark(one, one.dataset.id === name);
    }
    const [{ tokens }, { grants }] = await Promise.all([account("tokens", { user: name }), account("grants")]);
    if (isLast()) {
      const one = all.users.find((known) => known.name === name);
      const own = grants.filter((grant) => (grant.to === "user" && grant.name === name) || (grant.to === "role" && one.roles.includes(grant.name)));
      fill(detail, user(one, { tokens, grants: own, roles: all.roles, news, load }));
    }
  };

  const search = h("input", { type: "search", id: "text", name: "text", placeholder: "name, role, subject", oninput: draw });
  fill(place,
    h("form.filter", { role: "search", onsubmit: (event) => event.preventDefault() },
      h("p.field.wider", {}, h("label", { for: "text" }, "Search"), search),
      h("p.field", {}, button("Add a user…", () => addUser(all.roles, news, async (name) => { wanted.user = name; await load(); }), "button"))),
    news, h("div.books", {}, h("div", {}, entries), detail), roleList);
  await load();
}

/** Everything about a user, and what can be done about it. */
function user(one, { tokens, grants, roles, news, load }) {
  const tell = telling(news, load);
  const change = (operation, parameters) => account("users", { operation, name: one.name, ...parameters });
  const ask = async (title, said, action, operation, words, danger = true) => {
    const answer = await question({ title, content: h("p", {}, said), action, danger, perform: () => change(operation) });
    return answer ? tell(done(h("bdi", {}, one.name), ` ${words}`)) : undefined;
  };
  return [
    h("h2", {}, h("bdi", {}, one.name)),
    h("p.states", {}, one.enabled ? badge("ok", "enabled") : badge("problem", "disabled"), one.roles.map((role) => [" ", badge("plain", role)])),
    h("div.buttons", { dataset: { id: "actions" } },
      button("Roles…", () => changeRoles(one, roles, change, tell), "button.second"),
      button(one.hasPassword ? "New password…" : "Give a password…", () => newPassword(one, change, tell), "button.second"),
      one.enabled
        ? button("Disable…", () => ask(`Disable ${one.name}?`, "The user can no longer sign in, and all sessions and tokens end at once. What they did stays.", "Disable", "disable", "is disabled."), "button.second")
        : button("Enable", () => trying(news, null, async () => { await change("enable"); await tell(done(h("bdi", {}, one.name), " may sign in again.")); }), "button.second"),
      button("Remove…", () => ask(`Remove ${one.name}?`, "The account goes, with what was granted to it. What the user did stays in the books and in the audit log under this name; their replicas stay as well.", "Remove", "remove", "is removed."), "button.danger")),
    facts([
      ["Signs in with", [one.hasPassword ? "a password" : null, one.hasPassword && one.identities.length ? ", or " : null, one.identities.length ? "an identity provider" : null, !one.hasPassword && !one.identities.length ? h("span.none", {}, "nothing: there is neither a password nor an identity") : null,
        one.hasPassword && one.identities.length ? [" ", button("Take the password away…", () => ask(`Take the password of ${one.name} away?`, "Only the identity provider can vouch for the user then. All sessions and tokens end.", "Take it away", "removePassword", "has no password any more."))] : null]],
      ["Made", time(one.created)],
      ["Granted", grants.length ? h("ul.links", {}, grants.map((grant) => h("li", {}, link(`/arcgis/console/grants?service=${encodeURIComponent(grant.service)}`, grant.service), `: ${grant.access}`, grant.to === "role" ? [" as ", h("bdi", {}, grant.name)] : null))) : h("span.none", {}, "nothing beside what the roles are for")],
      ["Audit log", link(`/arcgis/console/audit?actor=${encodeURIComponent(one.name)}`, "what they did")],
    ]),
    h("h3", {}, "Identity providers"),
    one.identities.length ? table("Identities", ["Provider", "Subject", "Last used"], one.identities.map((known) => h("tr", {}, h("td.long", {}, known.issuer), h("td.long", {}, h("code", {}, known.subject)), h("td", {}, time(known.lastUsed))))) : h("p.none", {}, "No provider vouches for this user."),
    h("p.buttons", {}, button("Link…", () => linkIdentity(one, change, tell)), one.identities.length ? button("Unlink…", () => ask(`Unlink ${one.name}?`, "The identity provider no longer vouches for this user. All sessions and tokens end.", "Unlink", "unlink", "is not linked any more."), "button.danger.small") : null),
    h("h3", {}, "Sessions and tokens"),
    tokens.length ? tokensTable(tokens, news, load, false) : h("p.none", {}, "None counts at the moment."),
    tokens.length ? h("p.buttons", {}, button("End all…", () => ask(`End all sessions and tokens of ${one.name}?`, "The user has to sign in again everywhere.", "End all", "revokeTokens", "has to sign in again."), "button.danger.small")) : null,
  ];
}

async function changeRoles(one, roles, change, tell) {
  const [choices, chosen] = ticks("Roles", "roles", roles.map((role) => [role.name, role.builtIn ? role.name : `${role.name} (${role.level})`]), one.roles, "The one that may most counts; what was granted to any of them counts as well.");
  const answer = await question({ title: `Roles of ${one.name}`, content: choices, action: "Set", perform: () => change("setRoles", { roles: chosen().join(",") }) });
  return answer ? tell(done("The roles of ", h("bdi", {}, one.name), " were set.")) : undefined;
}

/** A password that somebody enters, or that the server makes. */
function passwordField() {
  const input = h("input", { type: "password", id: "new-password", name: "password", autocomplete: "new-password" });
  return field("Password", input, "Leave it empty, and one is made and shown once.");
}

async function newPassword(one, change, tell) {
  const content = [h("p", {}, "All sessions and tokens of the user end."), passwordField()];
  // Blanks are characters of a password.
  const answer = await question({ title: `New password for ${one.name}`, content, action: "Set the password", perform: () => change("setPassword", { password: content[1].querySelector("input").value }) });
  if (answer?.password) {
    await secret(`The password of ${one.name}`, "Hand it over in a way that nobody else can read.", answer.password);
  }
  return answer ? tell(done("The password of ", h("bdi", {}, one.name), " was set.")) : undefined;
}

async function linkIdentity(one, change, tell) {
  const content = [
    h("p", {}, "Whoever signs in at the provider as this subject signs in here as ", h("strong", {}, h("bdi", {}, one.name)), ". The log of the server has the subject of whoever was refused."),
    field("Subject", h("input", { type: "text", id: "subject", name: "subject", required: true, autocomplete: "off", spellcheck: "false" }), "The claim sub, as the provider says it."),
    field("Provider", h("input", { type: "text", id: "issuer", name: "issuer", autocomplete: "off", spellcheck: "false" }), "Its issuer; that of the settings if it is empty."),
  ];
  const answer = await question({ title: `Link ${one.name}`, content, action: "Link", perform: () => change("link", { subject: valueOf(content, "subject"), issuer: valueOf(content, "issuer") || undefined }) });
  return answer ? tell(done(h("bdi", {}, one.name), " is linked.")) : undefined;
}

async function addUser(roles, news, load) {
  const [choices, chosen] = ticks("Roles", "roles", roles.map((role) => [role.name, role.builtIn ? role.name : `${role.name} (${role.level})`]), ["viewer"]);
  const password = passwordField();
  const none = h("input", { type: "checkbox", id: "no-password", onchange: () => { password.hidden = none.checked; } });
  const content = [nameField(), choices, password, h("label.option", { for: "no-password" }, none, "No password: an identity provider vouches for the user")];
  const answer = await question({
    title: "Add a user", content, action: "Add",
    perform: async () => {
      const name = valueOf(content, "name");
      const made = await account("users", { operation: "add", name, roles: chosen().join(","), password: password.querySelector("input").value || undefined, noPassword: none.checked || undefined });
      return { ...made, name };
    },
  });
  if (!answer) {
    return;
  }
  if (answer.password) {
    await secret(`The password of ${answer.name}`, "Hand it over in a way that nobody else can read. The user signs in with it at /arcgis/login, and field apps ask for it.", answer.password);
  }
  await telling(news, () => load(answer.name))(done("The user ", h("bdi", {}, answer.name), " was added."));
}

const LEVELS = { viewer: "reads, and takes replicas that only download", editor: "edits, and synchronizes both ways", publisher: "edits, and manages what was granted to it", admin: "everything, everywhere" };

function rolesTable(roles, news, load) {
  const tell = telling(news, load);
  const remove = async (role) => {
    const answer = await question({ title: `Remove the role ${role.name}?`, content: h("p", {}, "What was granted to it goes with it. A role that somebody has cannot be removed."), action: "Remove", danger: true, perform: () => account("roles", { operation: "remove", name: role.name }) });
    return answer ? tell(done("The role ", h("bdi", {}, role.name), " was removed.")) : undefined;
  };
  const add = async () => {
    const content = [
      nameField(),
      field("Is for as much as", select("level", Object.entries(LEVELS).map(([level, said]) => [level, `${level}: ${said}`]), "viewer")),
    ];
    const answer = await question({ title: "Add a role", content: [h("p", {}, "A role of your own is a name for a group of users, such as a crew, to which services are granted."), ...content], action: "Add", perform: () => account("roles", { operation: "add", name: valueOf(content, "name"), level: valueOf(content, "level") }) });
    return answer ? tell(done("The role was added.")) : undefined;
  };
  return [
    h("h2", {}, "Roles"),
    table("Roles", ["Role", "What it is for", h("th.number", { scope: "col" }, "Users"), ""], roles.map((role) => h("tr", {},
      h("th", { scope: "row" }, h("bdi", {}, role.name)),
      h("td", {}, role.builtIn ? LEVELS[role.name] : `as ${role.level}: ${LEVELS[role.level]}`),
      h("td.number", {}, number(role.users)),
      h("td", {}, role.builtIn ? "" : button("Remove…", () => remove(role), "button.danger.small", { "aria-label": `Remove the role ${role.name}` }))))),
    h("p.buttons", {}, button("Add a role…", add, "button.second")),
  ];
}

// ----- Grants

const ACCESS = [["none", "nothing"], ["view", "view: read, and take replicas that only download"], ["edit", "edit: also change features, and synchronize both ways"], ["manage", "manage: also definitions, and what belongs to others"]];

export async function grants(place) {
  const [{ services }, { users }, { roles }] = await Promise.all([admin("health"), account("users"), account("roles")]);
  const wanted = { ...inAddress() };
  const news = h("div", { "aria-live": "polite" });
  const list = h("div", {});
  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const { grants, anonymous } = await account("grants", { service: wanted.service || undefined });
    if (isLast()) {
      fill(list, shownGrants(grants, anonymous, { edit, end }));
    }
  };
  const tell = telling(news, load);
  const edit = async (grant) => {
    const answer = await grantForm(grant ?? { service: wanted.service || services[0].name, to: "role", name: "", access: "view" }, grant !== undefined, { services, users, roles });
    return answer ? tell(done("It is granted, at once.")) : undefined;
  };
  const end = async (grant) => {
    const answer = await question({ title: "End this grant?", content: h("p", {}, `What holds without it for ${grantee(grant)} holds again at once.`), action: "End it", danger: true, perform: () => setGrant(grant, "default") });
    return answer ? tell(done("The grant has ended.")) : undefined;
  };
  if (services.length === 0) {
    fill(place, empty("No service is published.", [link("/arcgis/console/publish", "Publish a table"), "; then there is something to grant."]));
    return;
  }
  fill(place,
    h("form.filter", { onsubmit: (event) => event.preventDefault() },
      choice("Service", "service", [["", "all services"], ...services.map((one) => [one.name, one.name])], wanted.service ?? "", (event) => { wanted.service = event.target.value; toAddress(wanted); trying(news, null, load); }),
      h("p.field", {}, button("Grant…", () => edit(), "button"))),
    news, list,
    h("details.head", {}, h("summary", {}, "What counts"), h("ol", {}, h("li", {}, "What was granted to a user by name, whatever their roles are."), h("li", {}, "Else the most that was granted to one of their roles."), h("li", {}, "Else what the roles are for: viewers view, editors and publishers edit."), h("li", {}, "Everybody may at least do what was granted to everybody; administrators may do everything."))));
  await load();
}

function shownGrants(grants, anonymous, { edit, end }) {
  const words = { none: "nothing", view: "view", edit: "edit", manage: "manage" };
  return [
    h("p", {}, "Where nothing else is granted to everybody, whoever does not sign in may do: ", h("strong", {}, words[anonymous] ?? anonymous), " (the setting ", h("code", {}, "anonymous"), ")."),
    grants.length ? table("Grants", ["Service", "To whom", "May do", ""], grants.map((grant) => h("tr", {},
      h("th", { scope: "row" }, grant.service),
      h("td", {}, grant.to === "anonymous" ? badge("warning", "everybody") : [badge("plain", grant.to), " ", h("bdi", {}, grant.name)]),
      h("td", {}, words[grant.access] ?? grant.access),
      h("td", {}, button("Change…", () => edit(grant), "button.second.small", { "aria-label": `Change what ${grantee(grant)} may do with ${grant.service}` }), " ", button("End…", () => end(grant), "button.danger.small", { "aria-label": `End what ${grantee(grant)} may do with ${grant.service}` })))))
      : empty("Nothing was granted.", "What roles are for holds: viewers may view every service, editors and publishers may edit."),
  ];
}

const grantee = ({ to, name }) => (to === "anonymous" ? "everybody" : `${to} ${name}`);

const setGrant = ({ service, to, name }, access) => account("grants", { operation: "set", service, [to]: to === "anonymous" ? true : name, access });

/** Asks what is granted to whom, and grants it. */
function grantForm(grant, isFixed, { services, users, roles }) {
  const service = select("grant-service", services.map((one) => [one.name, one.name]), grant.service);
  const to = select("grant-to", [["role", "a role"], ["user", "a user"], ["anonymous", "everybody, without signing in"]], grant.to);
  const role = select("grant-role", roles.filter((one) => one.name !== "admin").map((one) => [one.name, one.name]), grant.name);
  const user = select("grant-user", users.map((one) => [one.name, one.name]), grant.name);
  const access = select("grant-access", ACCESS, grant.access);
  const rows = [field("Service", service), field("To", to), field("Role", role), field("User", user), field("May do", access)];
  const show = () => {
    rows[2].hidden = to.value !== "role";
    rows[3].hidden = to.value !== "user";
    access.querySelector("[value=manage]").disabled = to.value === "anonymous";
  };
  to.addEventListener("change", show);
  show();
  for (const one of [service, to, role, user]) {
    one.disabled = isFixed;
  }
  const named = () => ({ role: role.value, user: user.value, anonymous: "" })[to.value];
  return question({
    title: isFixed ? `What ${grantee(grant)} may do with ${grant.service}` : "Grant", content: rows, action: "Grant",
    perform: () => setGrant({ service: service.value, to: to.value, name: named() }, access.value),
  });
}

// ----- Keys

export async function keys(place) {
  const news = h("div", { "aria-live": "polite" });
  const list = h("div", {});
  const load = async () => {
    const { keys } = await account("keys");
    fill(list, keys.length ? table("Keys", ["Key", "Role", "Services", "Made", "Last used", "Expires", ""], keys.map((key) => h("tr", {},
      h("th", { scope: "row" }, h("bdi", {}, key.name)),
      h("td", {}, key.role),
      h("td.long", {}, key.services === null ? h("span.none", {}, "all") : key.services.join(", ")),
      h("td", {}, time(key.created)),
      h("td", {}, time(key.lastUsed)),
      h("td", {}, key.expires !== null && key.expires < Date.now() ? badge("problem", "expired") : time(key.expires, "when it is revoked")),
      h("td", {}, button("Revoke…", () => revoke(key), "button.danger.small", { "aria-label": `Revoke ${key.name}` })))))
      : empty("There are no keys.", "A key lets a program in that cannot sign in, such as a nightly script. It is sent as token, or as Authorization: Bearer."));
  };
  const tell = telling(news, load);
  const revoke = async (key) => {
    const answer = await question({ title: `Revoke ${key.name}?`, content: h("p", {}, "Whatever presents it is refused at once. It cannot be taken back; make another key then."), action: "Revoke", danger: true, perform: () => account("keys", { operation: "revoke", name: key.name }) });
    return answer ? tell(done("The key ", h("bdi", {}, key.name), " counts no longer.")) : undefined;
  };
  fill(place, h("p.buttons.first", {}, button("Make a key…", () => makeKey(tell), "button")), news, list);
  await load();
}

async function makeKey(tell) {
  const [{ services }, { roles }] = await Promise.all([admin("health"), account("roles")]);
  const [limits, chosen] = ticks("Only for these services", "services", services.map((one) => [one.name, one.name]), [], "None chosen: for all.");
  const role = field("Role", select("role", roles.map((one) => [one.name, one.name]), "viewer"));
  const days = field("Expires after days", h("input", { type: "number", id: "expires", name: "expires", min: "1", max: "36500", value: "365" }), "Empty: it counts until it is revoked.");
  const content = [nameField("What it is for"), role, services.length ? limits : null, days];
  const answer = await question({
    title: "Make a key", content, action: "Make it",
    perform: async () => {
      const name = valueOf(content, "name");
      const made = await account("keys", { operation: "add", name, role: valueOf(content, "role"), services: chosen().join(",") || undefined, expires: valueOf(content, "expires") || undefined });
      return { ...made, name };
    },
  });
  if (answer) {
    await secret(`The key ${answer.name}`, "Give it to the program, as token or as Authorization: Bearer.", answer.key);
    await tell(done("The key ", h("bdi", {}, answer.name), " was made."));
  }
}

// ----- Sessions and tokens

export async function sessions(place) {
  const wanted = { ...inAddress() };
  const news = h("div", { "aria-live": "polite" });
  const list = h("div", {});
  const { users } = await account("users");
  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const { tokens: all } = await account("tokens", { user: wanted.user || undefined });
    const tokens = all.filter((one) => !wanted.kind || one.type === wanted.kind);
    if (isLast()) {
      fill(list, tokens.length ? [h("p.note", {}, all.length >= 1000 ? "The newest 1000." : `${count(tokens.length, "session or token", "sessions and tokens")}, the newest first.`), tokensTable(tokens, news, load, true)]
        : empty("None counts at the moment.", "A session begins when somebody signs in to the pages, a token when a client gives name and password."));
    }
  };
  const search = (changes) => {
    Object.assign(wanted, changes);
    toAddress(wanted);
    return trying(news, null, load);
  };
  fill(place, h("form.filter", { onsubmit: (event) => event.preventDefault() },
    choice("User", "user", [["", "all users"], ...users.map((one) => [one.name, one.name])], wanted.user ?? "", (event) => search({ user: event.target.value })),
    choice("Kind", "kind", [["", "sessions and tokens"], ["session", "sessions of pages"], ["token", "tokens"]], wanted.kind ?? "", (event) => search({ kind: event.target.value }))), news, list,
  h("p.note", {}, "What pages ask with belongs to their session and ends with it; it is not listed."));
  await load();
}

function tokensTable(tokens, news, load, withUser) {
  const end = async (token) => {
    const answer = await question({ title: `End this ${token.type}?`, content: h("p", {}, `Whoever has it (${token.user}, from ${token.issuedTo || "an unknown address"}) must sign in again.`), action: "End it", danger: true, perform: () => account("tokens", { operation: "revoke", id: token.id }) });
    return answer ? telling(news, load)(done(`The ${token.type} has ended.`)) : undefined;
  };
  return table("Sessions and tokens", [...(withUser ? ["User"] : []), "Kind", "From", "Bound to", "Begun", "Ends", ""], tokens.map((token) => h("tr", { dataset: { id: token.id } },
    withUser ? h("th", { scope: "row" }, link(`/arcgis/console/users?user=${encodeURIComponent(token.user)}`, h("bdi", {}, token.user))) : null,
    h("td", {}, badge("plain", token.type)),
    h("td", {}, token.issuedTo || h("span.none", {}, "unknown")),
    h("td.long", {}, token.boundTo ?? h("span.none", {}, "nothing")),
    h("td", {}, time(token.created)),
    h("td", {}, time(token.expires)),
    h("td", {}, button("End…", () => end(token), "button.danger.small", { "aria-label": `End the ${token.type} of ${token.user}` })))));
}
