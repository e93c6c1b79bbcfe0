// The console: finds the page that is asked for, and lets in who may see it.

import { failure, fill, signIn } from "./console-kit.js";
import { overview } from "./console-overview.js";
import { replicas } from "./console-replicas.js";
import { replica } from "./console-replica.js";
import { conflicts, rejected } from "./console-books.js";
import { jobs, settings } from "./console-more.js";

const PAGES = { overview, replicas, replica, rejected, conflicts, jobs, settings };

const place = document.getElementById("console");

async function begin() {
  try {
    await PAGES[place.dataset.page](place, place.dataset.id);
  } catch (error) {
    if (error.code === 498 || error.code === 499 || error.code === 403) {
      signIn(place, error, begin);
    } else {
      fill(place, failure(error));
    }
  }
}

if (place) {
  begin();
}
