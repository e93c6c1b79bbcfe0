// Asks the server as a program does, for whoever is signed in to the pages.

// A token of this page's own, as the cookie counts for pages only. None is needed where nobody signs in.
let token;

// A key that somebody has entered, for a page that asks for one.
let key;

/** From now on, asks with a key or token of somebody's instead; `undefined` for that of the session again. */
export function useToken(given) {
  key = given;
}

async function tokenOfSession(anew) {
  if (key) {
    return key;
  }
  const csrf = document.querySelector('meta[name="csrf"]')?.content;
  if (!csrf) {
    return undefined;
  }
  if (!token || anew || token.expires < Date.now() + 30_000) {
    const response = await fetch("/arcgis/tokens/session", {
      method: "POST",
      body: new URLSearchParams({ csrf, f: "json" }),
      credentials: "same-origin",
    });
    const answer = await response.json();
    if (answer.error) {
      throw failure(answer.error);
    }
    token = answer;
  }
  return token.token;
}

function failure(error) {
  const made = new Error([error.message, ...(error.details ?? [])].join(" "));
  made.code = error.code;
  return made;
}

/**
 * Posts parameters to an address of this server, with f=json, and returns the answer.
 *
 * @param {string} address a path of this server
 * @param {Object<string, unknown>} parameters objects are sent as JSON; undefined ones are left out
 * @returns {Promise<any>} the document; an `error` in it is thrown, with its message, details and `code`
 */
export async function ask(address, parameters = {}, { signal } = {}) {
  const body = new URLSearchParams({ f: "json" });
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null) {
      body.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
    }
  }
  for (let attempt = 0; ; attempt += 1) {
    const token = await tokenOfSession(attempt > 0);
    const response = await fetch(address, {
      method: "POST",
      body,
      credentials: "same-origin",
      headers: token ? { "X-Esri-Authorization": `Bearer ${token}` } : {},
      signal,
    });
    const answer = await response.json();
    if (answer.error?.code === 498 && token && attempt === 0) {
      continue;
    }
    if (answer.error) {
      throw failure(answer.error);
    }
    return answer;
  }
}
