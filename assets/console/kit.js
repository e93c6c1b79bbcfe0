// What the pages of the console have in common: asking, making elements of text, times and sizes, questions before what destroys.

import { ask as askPlainly, useToken } from "./api.js";

const ADMIN = "/arcgis/rest/admin";
const KEPT = "syncline-token";

/** Asks a resource for administrators, by its path below `admin`. */
export function admin(path, parameters) {
  return ask(`${ADMIN}/${path}`, parameters);
}

/** Asks a resource of a service, by its path below FeatureServer. */
export function ofService(service, path, parameters) {
  return ask(`${serviceAddress(service)}${path ? `/${path}` : ""}`, parameters);
}

export function serviceAddress(service) {
  return `/arcgis/rest/services/${encodeURIComponent(service)}/FeatureServer`;
}

/** The page of a replica. */
export function replicaAddress(id) {
  return `/arcgis/console/replicas/${encodeURIComponent(id)}`;
}

async function ask(address, parameters) {
  const kept = sessionStorage.getItem(KEPT);
  if (kept) {
    useToken(kept);
  }
  try {
    return await askPlainly(address, parameters);
  } catch (error) {
    if (error.code === 498 && kept) {
      sessionStorage.removeItem(KEPT);
      useToken(undefined);
    }
    throw error;
  }
}

/**
 * Makes an element. Text stays text: nothing that comes from a table or a client becomes markup.
 *
 * @param {string} name such as `div`, or `td.number`
 * @param {object} [attributes] `on…` are listeners, `dataset` an object; true sets an attribute, false and null leave it out
 * @param {...(Node|string|number|null|undefined|Array)} children
 */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  if (classes.length) {
    made.className = classes.join(" ");
  }
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      made.addEventListener(key.slice(2), value);
    } else if (key === "dataset") {
      Object.assign(made.dataset, value);
    } else if (["checked", "indeterminate", "disabled", "hidden", "value", "selected", "required", "open"].includes(key)) {
      made[key] = value;
    } else if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(key, value === true ? "" : String(value));
    }
  }
  append(made, children);
  return made;
}

function append(to, children) {
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined && child !== false) {
      to.append(child instanceof Node ? child : String(child));
    }
  }
}

/** Puts other content into an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const FOCUSABLE = "a, button, input, select, textarea, summary";

/**
 * Draws something anew and leaves the keyboard where it was. What had the focus is found again by its id, by its place in the element round it
 * that has `data-id` or `data-column`, or by where it leads.
 */
export function keepingFocus(within, draw) {
  const find = within.contains(document.activeElement) ? finder(within, document.activeElement) : null;
  draw();
  if (find && !within.contains(document.activeElement)) {
    find()?.focus({ preventScroll: true });
  }
}

function finder(within, held) {
  if (held.id) {
    return () => document.getElementById(held.id);
  }
  const anchor = held.closest("[data-id], [data-column]");
  if (anchor && within.contains(anchor)) {
    const name = anchor.dataset.id === undefined ? "column" : "id";
    const parts = (one) => [one, ...one.querySelectorAll(FOCUSABLE)];
    const value = anchor.dataset[name];
    const nth = parts(anchor).indexOf(held);
    return () => {
      const found = [...within.querySelectorAll(`[data-${name}]`)].find((one) => one.dataset[name] === value);
      return found && parts(found)[nth];
    };
  }
  const { href } = held;
  return () => href && [...within.querySelectorAll("a")].find((one) => one.href === href);
}

/** Says of several requests of one kind which is the last: what came before it is of no interest any more, also if it is answered later. */
export function latest() {
  let last = 0;
  return () => {
    const mine = ++last;
    return () => mine === last;
  };
}

/** Does something when somebody has stopped typing. */
export function debounced(act) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(act, 300);
  };
}

export function shorten(text, most = 60) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** Marks the one of several entries that is shown. */
export function mark(entry, isCurrent) {
  if (isCurrent) {
    entry.setAttribute("aria-current", "true");
  } else {
    entry.removeAttribute("aria-current");
  }
}

export function link(href, text, attributes = {}) {
  return h("a", { href, ...attributes }, text);
}

export function button(text, onclick, name = "button.second.small", attributes = {}) {
  return h(name, { type: "button", onclick, ...attributes }, text);
}

/** Numbers with a space between thousands. */
export function number(value) {
  return value === null || value === undefined ? "" : String(value).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/** One or several of something. */
export function count(n, one, several = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : several}`;
}

export function bytes(value) {
  if (value === null || value === undefined) {
    return "";
  }
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let index = 0;
  let size = value;
  while (size >= 1024 && index + 1 < units.length) {
    size /= 1024;
    index += 1;
  }
  return `${index && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[index]}`;
}

/** How long ago, or how long until. */
export function relative(ms, now = Date.now()) {
  const seconds = Math.round(Math.abs(now - ms) / 1000);
  const steps = [[45, 1, "s"], [5400, 60, "min"], [129_600, 3600, "h"], [7_776_000, 86_400, "d"], [47_304_000, 2_592_000, "months"], [Infinity, 31_536_000, "years"]];
  const [, unit, name] = steps.find(([upto]) => seconds < upto);
  if (seconds < 5) {
    return "now";
  }
  const text = `${Math.max(1, Math.round(seconds / unit))} ${name}`;
  return ms > now ? `in ${text}` : `${text} ago`;
}

/** The exact time, in UTC. */
export function exact(ms) {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

/** A time for people: relative, exact when somebody points at it; it goes on by itself. */
export function time(ms, otherwise = "never") {
  if (ms === null || ms === undefined) {
    return h("span.none", {}, otherwise);
  }
  return h("time", { datetime: new Date(ms).toISOString(), title: exact(ms), dataset: { ms } }, relative(ms));
}

setInterval(() => {
  for (const one of document.querySelectorAll("time[data-ms]")) {
    one.textContent = relative(Number(one.dataset.ms));
  }
}, 20_000);

const STATES = {
  live: ["good", "live"],
  idle: ["warn", "idle"],
  expired: ["bad", "expired"],
  foreign: ["info", "foreign"],
  busy: ["info", "synchronizing"],
  neverSynchronized: ["", "never came back"],
  needsSnapshot: ["warn", "needs a snapshot"],
  ok: ["good", "ok"],
  warning: ["warn", "look at this"],
  problem: ["bad", "problem"],
  completed: ["good", "completed"],
  completed_with_errors: ["warn", "edits refused"],
  needs_snapshot: ["bad", "history gone"],
  refused: ["bad", "request refused"],
  failed: ["bad", "server failed"],
};

export function badge(state, text) {
  const [kind, word] = STATES[state] ?? ["", state];
  return h(kind ? `span.badge.${kind}` : "span.badge", {}, text ?? word);
}

/** The states of a replica. */
export function stateOf(replica) {
  const shown = [badge(replica.state)];
  for (const flag of ["busy", "needsSnapshot", "neverSynchronized"]) {
    if (replica[flag]) {
      shown.push(" ", badge(flag));
    }
  }
  return shown;
}

/** A table of facts. */
export function facts(pairs) {
  return h("dl", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A table that scrolls in itself; on a phone, each row is a card, with the heads (or their `data-label`) beside the values. */
export function table(caption, heads, rows) {
  const made = heads.map((head) => (head instanceof Node ? head : h("th", { scope: "col" }, head)));
  for (const row of rows.flat(3).filter(Boolean)) {
    [...row.children].forEach((cell, index) => {
      cell.dataset.label = made[index]?.dataset.label ?? made[index]?.textContent ?? "";
      // A label and a value are beside each other on a card, so the value is one thing.
      if (cell.tagName === "TD" && cell.childNodes.length > 1) {
        cell.replaceChildren(h("div", {}, [...cell.childNodes]));
      }
    });
  }
  return h(
    "div.wide.stacked",
    { tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("thead", {}, h("tr", {}, made)), h("tbody", {}, rows)),
  );
}

/** Says that there is nothing, and why. */
export function empty(title, why) {
  return h("div.hint.empty", {}, h("p", {}, h("strong", {}, title)), why ? h("p", {}, why) : null);
}

/** Shows what the server refused, in its words. */
export function failure(error) {
  const codes = {
    403: "Sign in as an administrator.",
    409: "Wait a moment, and try again.",
    503: "Wait a moment, and try again; the overview says how the server is doing.",
  };
  const advice = error instanceof TypeError ? "The server cannot be reached. Look whether it runs, and try again." : codes[error.code];
  return h("div.error", { role: "alert" }, h("p", {}, error.code ? `Error ${error.code}` : "That did not work"), h("p", {}, error.message), advice ? h("p", {}, advice) : null);
}

/** Says what was done. */
export function done(...children) {
  return h("div.done", { role: "status" }, h("p", {}, ...children));
}

/**
 * Asks before something is done that cannot be taken back, or shows something beside the page.
 *
 * @param {object} question `title`, `content` (nodes), `action` (the word on the button; none to only show), `danger`, `perform`
 *   (does it; an error stays in the dialog)
 * @returns {Promise<any>} what `perform` returned; undefined if somebody changed their mind
 */
export function question({ title, content, action, danger = false, perform }) {
  return new Promise((resolve) => {
    const trouble = h("div", {});
    let result;
    const close = () => dialog.close();
    const id = `question-${document.querySelectorAll("dialog").length}`;
    const act = async () => {
      const wrong = shown.querySelector("input:invalid, select:invalid");
      if (wrong) {
        wrong.reportValidity();
        return;
      }
      go.disabled = true;
      fill(trouble);
      try {
        result = (await perform?.()) ?? true;
        dialog.close();
      } catch (error) {
        fill(trouble, failure(error));
        go.disabled = false;
      }
    };
    const go = h(danger ? "button.destroy" : "button", { type: "button", onclick: act }, action ?? "");
    // Enter in a field is as good as the button.
    const entered = (event) => {
      if (event.key === "Enter" && action && event.target.matches("input:not([type=checkbox], [type=radio])") && !go.disabled) {
        event.preventDefault();
        act();
      }
    };
    const shown = h("div.question-content", { tabindex: "0", onkeydown: entered, oninput: () => fill(trouble) }, content);
    const dialog = h(
      "dialog.question",
      { "aria-labelledby": id },
      h("h2", { id }, title),
      shown,
      trouble,
      h("div.buttons", {}, action ? go : null, button(action ? "Cancel" : "Close", close, "button.second")),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    // Nobody should destroy by pressing Enter too often.
    const first = [...shown.querySelectorAll("input, select, button")].find((one) => !one.disabled && !one.closest("[hidden]"));
    const cancel = dialog.querySelector(".buttons:last-child button.second");
    (danger ? cancel : first ?? (action ? go : cancel)).focus();
  });
}

/** Whether the page asks with a key that somebody has entered. */
export function hasKey() {
  return sessionStorage.getItem(KEPT) !== null;
}

/** Forgets it. */
export function forgetKey() {
  sessionStorage.removeItem(KEPT);
  location.reload();
}

/** Shows what is shown only now, and lets somebody copy it. */
export function secret(title, explained, value) {
  const shown = h("output.secret", {}, value);
  const said = h("span.none", { role: "status" });
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(value);
      fill(said, "Copied.");
    } catch {
      // Without HTTPS, browsers keep the clipboard to themselves.
      getSelection().selectAllChildren(shown);
      fill(said, "Marked; copy it with Ctrl+C.");
    }
  }, "button.second");
  return question({ title, content: [h("p", {}, explained), h("p", {}, shown), h("p.buttons", {}, copy, said), h("p.note", {}, "It is shown only now, and stored nowhere in a form that could be read again.")] });
}

/** A field of a form, with what is to be said about it. */
export function field(label, input, note) {
  return h("div.row", {}, h("label", { for: input.id }, label), h("div", {}, input, note ? h("small", {}, note) : null));
}

/** Choices that can be made together. `chosen` reads which are. */
export function ticks(legend, name, options, chosen, note) {
  const made = h("fieldset", {}, h("legend", {}, legend), options.map(([value, text]) => h("label.option", {}, h("input", { type: "checkbox", name, value, checked: chosen.includes(value) }), h("bdi", {}, text))), note ? h("p.note", {}, note) : null);
  return [made, () => [...made.querySelectorAll("input:checked")].map((one) => one.value)];
}

/** A form that lets an administrator in who has a key or the token of the settings. */
export function signIn(place, error, again) {
  const field = h("input", { type: "password", id: "key", name: "key", autocomplete: "off", required: true });
  const enter = async (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEPT, field.value.trim());
    useToken(field.value.trim());
    try {
      await admin("pulse");
    } catch (refused) {
      sessionStorage.removeItem(KEPT);
      useToken(undefined);
      return signIn(place, refused, again);
    }
    return again();
  };
  const back = encodeURIComponent(location.pathname + location.search);
  const name = document.querySelector(".account bdi")?.textContent;
  const isOther = error.code === 403 && name !== undefined && !hasKey();
  fill(
    place,
    error.code === 499 || isOther ? null : failure(error),
    h("h2", {}, "Administrators only"),
    isOther ? h("div.error", { role: "alert" }, h("p", {}, "You are signed in as ", h("bdi", {}, name), ", who is not an administrator."), h("p", {}, "Nothing of the console is for this account. An administrator can give it the role admin; what it may do stands in the ", link("/arcgis/rest/services", "services directory"), ".")) : null,
    h("p", {}, link(`/arcgis/login?next=${back}`, isOther ? "Sign in as somebody else" : "Sign in", { class: "button" }), " with an account that has the role admin, or enter a key of one, or the admin_token of the settings."),
    h("form.key", { onsubmit: enter }, h("label", { for: "key" }, "Key or token"), field, h("button", { type: "submit" }, "Open the console"), h("p", {}, h("small", {}, "It is kept until this tab is closed."))),
  );
  field.focus();
}

/**
 * Runs `render` whenever something has changed on the server; asks cheaply, and only while somebody looks. `render` must leave alone what somebody is
 * about: the keyboard's place, a form that is filled in, and what was said of what they did.
 */
export function live(render, { seconds = 15 } = {}) {
  let last;
  const isBusy = () => document.hidden || document.querySelector("dialog[open]");
  const look = async () => {
    if (isBusy()) {
      return;
    }
    try {
      const { pulse } = await admin("pulse");
      if (last !== undefined && pulse !== last) {
        if (isBusy()) {
          return;
        }
        await render();
      }
      last = pulse;
      document.body.classList.remove("offline");
    } catch {
      // The next look may go better; the page keeps what it has, and says so.
      document.body.classList.add("offline");
    }
  };
  setInterval(look, seconds * 1000);
  document.addEventListener("visibilitychange", look);
  look();
}

/** The parameters in the page's address. */
export function inAddress() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/** Keeps them there, so that a page can be shared and come back to. */
export function toAddress(parameters) {
  const kept = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
}

/** A choice with a label. */
export function choice(label, name, options, value, onchange) {
  const id = `choice-${name}`;
  return h("p.field", {}, h("label", { for: id }, label), h("select", { id, name, onchange }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text))));
}

/** Does `perform` and shows its error in a place if it fails; the button is off meanwhile. */
export async function trying(place, pressed, perform) {
  if (pressed) {
    pressed.disabled = true;
  }
  fill(place);
  place.setAttribute("aria-busy", "true");
  try {
    return await perform();
  } catch (error) {
    fill(place, failure(error));
    return undefined;
  } finally {
    place.removeAttribute("aria-busy");
    if (pressed) {
      pressed.disabled = false;
    }
  }
}
