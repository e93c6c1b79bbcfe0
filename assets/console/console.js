// The console: finds the page that is asked for, and lets in who may see it.

import { button, failure, fill, forgetKey, h, hasKey, signIn } from "./console-kit.js";
import { overview } from "./console-overview.js";
import { replicas } from "./console-replicas.js";
import { replica } from "./console-replica.js";
import { conflicts, rejected } from "./console-books.js";
import { grants, keys, sessions, users } from "./console-accounts.js";
import { publish } from "./console-publish.js";
import { audit } from "./console-audit.js";
import { jobs, settings } from "./console-more.js";

const PAGES = { overview, replicas, replica, rejected, conflicts, jobs, publish, users, grants, keys, sessions, audit, settings };

const place = document.getElementById("console");

async function begin() {
  place.setAttribute("aria-busy", "true");
  try {
    await PAGES[place.dataset.page](place, place.dataset.id);
    if (hasKey()) {
      place.after(h("p.note.with-key", {}, "This tab asks with a key that was entered in it. ", button("Forget the key", forgetKey)));
    }
  } catch (error) {
    if (error.code === 498 || error.code === 499 || error.code === 403) {
      signIn(place, error, begin);
    } else {
      fill(place, failure(error));
    }
  } finally {
    place.removeAttribute("aria-busy");
  }
}

if (place) {
  // On a phone, the bar is longer than the screen is wide.
  for (const here of document.querySelectorAll(".console-bar [aria-current]")) {
    here.closest("ul").scrollLeft = here.offsetLeft - here.closest("ul").offsetLeft - 24;
  }
  begin();
}
