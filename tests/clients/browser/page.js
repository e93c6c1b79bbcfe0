// What the pages share: a list of what held, and the first thing that did not.

/** Runs a page's work on the service of its address, and leaves the outcome where the browser's driver looks. */
export async function run(work) {
  const outcome = { held: [], failure: null };
  const expect = (condition, text) => {
    if (!condition) {
      throw new Error(`this does not hold: ${text}`);
    }
    outcome.held.push(text);
  };
  // A mistake in a callback ends nobody's promise.
  window.addEventListener("error", (event) => {
    window.outcome ??= { ...outcome, failure: `${event.message}\n${event.error?.stack ?? ""}` };
  });
  try {
    await work(new URLSearchParams(location.search).get("service"), expect);
  } catch (error) {
    outcome.failure = `${error.message ?? error} ${JSON.stringify(error.details ?? "")}\n${error.stack ?? ""}`;
  }
  window.outcome ??= outcome;
}
