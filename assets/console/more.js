// Jobs, and the settings.

import { admin, badge, bytes, choice, count, empty, exact, fill, h, inAddress, keepingFocus, latest, link, live, ofService, serviceAddress, table, time, toAddress, trying } from "./console-kit.js";

const JOB_STATES = { Completed: "ok", CompletedWithErrors: "warning", Failed: "problem", Pending: "", InProgress: "busy" };

export async function jobs(place) {
  const { services, checks } = await admin("health");
  const wanted = { service: services[0]?.name, ...inAddress() };
  const list = h("div", {});
  const check = checks.find((one) => one.name === "jobs");
  const begin = latest();
  const load = async () => {
    const isLast = begin();
    const { jobs } = wanted.service ? await ofService(wanted.service, "jobs") : { jobs: [] };
    if (!isLast()) {
      return;
    }
    keepingFocus(list, () => fill(list, jobs.length
      ? table("Jobs", ["Job", "Operation", "Status", "Submitted", "Last change"], jobs.map((job) => h("tr", {},
        h("th", { scope: "row" }, link(`${serviceAddress(wanted.service)}/jobs/${job.jobId}`, h("code", {}, job.jobId))),
        h("td", {}, job.operation),
        h("td", {}, badge(JOB_STATES[job.status] || "plain", job.status), job.status === "Failed" ? reason(wanted.service, job.jobId) : null),
        h("td", {}, time(job.submissionTime)),
        h("td", {}, time(job.lastUpdatedTime)))))
      : empty("No jobs.", "Requests with async=true run as jobs; they are here until a day after they ended.")));
  };
  fill(place, h("p", {}, badge(check.verdict), " ", check.summary, " ", check.advice),
    h("form.filter", { onsubmit: (event) => event.preventDefault() }, choice("Service", "service", services.map((one) => [one.name, one.name]), wanted.service, (event) => {
      wanted.service = event.target.value;
      toAddress(wanted);
      trying(list, null, load);
    })), list);
  await load();
  live(load);
}

/** Why a job failed, asked for when somebody wants to know. */
function reason(service, id) {
  const said = h("small.of.told", {});
  const more = h("details", { ontoggle: () => trying(said, null, async () => {
    const job = await ofService(service, `jobs/${id}`);
    fill(said, job.error ? `${job.error.code}: ${job.error.message} ${(job.error.details ?? []).join(" ")}` : "no reason was kept");
  }) }, h("summary", {}, "Why"), said);
  return more;
}

export async function settings(place) {
  const [{ settings, version }, { expiryPolicy, currentDate }] = await Promise.all([admin("settings"), admin("health")]);
  const days = (n) => (n ? count(n, "day") : "never");
  const changed = settings.filter((one) => !one.default);
  const text = h("input", { type: "search", id: "text", name: "text", placeholder: "name or what it does", oninput: () => draw() });
  const which = choice("Settings", "which", [["", "all"], ["set", "set here"]], "", () => draw());
  const list = h("div", {});
  const row = (one) => h("tr", {},
    h("th", { scope: "row" }, h("code", {}, one.name), h("small.of.told", {}, one.description)),
    h("td.long", {}, one.value === null ? h("span.none", {}, "not set") : [h("code", {}, one.value), /_bytes$/.test(one.name) && Number(one.value) >= 1024 ? h("small.of", {}, bytes(Number(one.value))) : null]),
    h("td", {}, one.default ? h("span.none", {}, "default") : badge("info", "set")));
  const draw = () => {
    const wanted = text.value.trim().toLowerCase();
    const found = settings.filter((one) => `${one.name} ${one.description}`.toLowerCase().includes(wanted) && !(which.lastChild.value && one.default));
    fill(list, [...new Set(found.map((one) => one.group))].map((group) => [h("h3", {}, group), table(group, ["Setting", "Value", ""], found.filter((one) => one.group === group).map(row))]),
      found.length ? null : empty("No setting is like that.", "Search for another word, or choose all."));
  };
  draw();
  fill(
    place,
    h("p", {}, `Syncline ${version}; the server's clock says ${exact(currentDate)}. Settings are changed in the file config/syncline.toml or in the environment; the server reads them when it starts.`),
    h("h2", {}, "Replicas"),
    h("p", {}, `Without a synchronization, a replica is idle after ${days(expiryPolicy.warnDays)}, expires after ${days(expiryPolicy.expireDays)}, and is unregistered ${days(expiryPolicy.graceDays)} later. History is kept for ${days(expiryPolicy.keepHistoryDays)} at least, receipts for ${days(expiryPolicy.keepReceiptsDays)}.`),
    expiryPolicy.services.length ? h("p", {}, "Services with a rule of their own: ", expiryPolicy.services.map((one) => `${one.service}: ${one.expireDays ? count(one.expireDays, "day") : "never"}`).join("; "), ".") : null,
    h("h2", {}, "All settings"),
    h("p.note", {}, `${count(changed.length, "setting")} of ${settings.length} ${changed.length === 1 ? "is" : "are"} not as they come; secrets are not shown.`),
    h("form.filter", { role: "search", onsubmit: (event) => event.preventDefault() }, h("p.field.wider", {}, h("label", { for: "text" }, "Search"), text), which),
    list,
  );
}
