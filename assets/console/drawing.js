// Drawings on a line of time.

import { count, exact, number, relative } from "./console-kit.js";

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element of a drawing; children may be text. */
export function s(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      made.addEventListener(key.slice(2), value);
    } else if (value !== undefined && value !== null) {
      made.setAttribute(key, String(value));
    }
  }
  made.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return made;
}

/** Draws again whenever the place gets another width. */
export function drawn(place, draw) {
  let width = 0;
  const again = () => {
    const now = Math.floor(place.clientWidth);
    if (now > 0 && now !== width) {
      width = now;
      place.replaceChildren(draw(width));
    }
  };
  new ResizeObserver(again).observe(place);
  again();
}

const DAY = 86_400_000;
const STEPS = [60_000, 300_000, 900_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 30 * DAY, 90 * DAY, 180 * DAY, 365 * DAY];

/** A line of time with marks: what comes before `from` is drawn at its beginning. */
export function axis(from, to, [left, right], y) {
  const span = Math.max(to - from, 60_000);
  const x = (ms) => left + ((Math.min(Math.max(ms, from), to) - from) / span) * (right - left);
  const most = Math.max(2, Math.floor((right - left) / 90));
  const step = STEPS.find((one) => span / one <= most) ?? 365 * DAY;
  const marks = [];
  for (let back = 0; to - back >= from; back += step) {
    const at = x(to - back);
    const label = back === 0 ? "now" : relative(to - back, to);
    if (at - left > 30 || back === 0) {
      marks.push(s("line", { class: "tick", x1: at, x2: at, y1: y, y2: y + 5 }));
      marks.push(s("text", { class: "tick-text", x: at, y: y + 19, "text-anchor": back === 0 ? "end" : "middle" }, label));
    }
  }
  return { x, marks: [s("line", { class: "axis", x1: left, x2: right, y1: y, y2: y }), ...marks] };
}

const HEIGHT = 150;

/**
 * How far the replicas of a service lag: each a dot where what it has was new, on the line of the history that is kept.
 *
 * @param {object} of a service of the resource `replicas/lag`
 * @param {(replica: object) => void} onPick is told which dot somebody picks
 */
export function lagPicture(of, width, onPick, now) {
  const { history, replicas } = of;
  const held = (one) => one.givenDate ?? one.lastSyncDate;
  const known = replicas.filter((one) => one.givenServerGen !== null);
  const times = known.map(held);
  const oldestKept = history.minServerGenDate ?? now;
  const from = Math.min(oldestKept, now - 3_600_000, ...times) - (now - Math.min(oldestKept, now - 3_600_000, ...times)) * 0.02;
  const base = HEIGHT - 30;
  const { x, marks } = axis(from, now, [10, width - 10], base);
  const parts = [s("rect", { class: "kept", x: x(oldestKept), y: base - 4, width: Math.max(x(now) - x(oldestKept), 1), height: 8, rx: 4 }), ...marks];
  // Dots of one place stand on each other; of very many, a column stands for all.
  const columns = new Map();
  for (const one of known) {
    const column = Math.round(x(held(one)) / 9);
    columns.set(column, [...(columns.get(column) ?? []), one]);
  }
  const room = Math.floor((base - 24) / 9);
  let holder;
  for (const [column, all] of columns) {
    const cx = Math.min(Math.max(column * 9, 12), width - 12);
    const shown = all.length > room ? room - 1 : all.length;
    all.sort((one, other) => Number(other.holdsHistory) - Number(one.holdsHistory));
    all.slice(0, shown).forEach((one, index) => {
      const cy = base - 10 - index * 9;
      const kind = one.needsSnapshot ? "needs" : one.state;
      const label = `${one.replicaName}: ${count(one.changesBehind, "change")}${one.moreChangesBehind ? " or more" : ""} behind, up to date ${relative(held(one), now)} (${exact(held(one))}), ${one.state}`;
      const dot = s("circle", { class: `lag-dot ${kind}${one.holdsHistory ? " holds" : ""}`, cx, cy, r: one.holdsHistory ? 5.5 : 4, onclick: () => onPick(one) }, s("title", {}, label));
      parts.push(dot);
      if (one.holdsHistory) {
        holder = { one, cx, cy };
      }
    });
    if (shown < all.length) {
      parts.push(s("text", { class: "tick-text", x: cx, y: base - 10 - shown * 9 + 3, "text-anchor": "middle" }, `+${number(all.length - shown)}`));
    }
  }
  if (holder) {
    // What it has may be newer than what it may still need: a device can be restored from a copy.
    parts.push(s("path", { class: "holder-line", d: `M ${x(oldestKept)} ${base} L ${holder.cx} ${holder.cy}` }));
    const toLeft = holder.cx > width / 2;
    const name = holder.one.replicaName.length > 28 ? `${holder.one.replicaName.slice(0, 27)}…` : holder.one.replicaName;
    const top = Math.min(holder.cy - 14, 26);
    parts.push(s("path", { class: "holder-line", d: `M ${holder.cx} ${holder.cy - 8} V ${top + 4}` }));
    parts.push(s("text", { class: "holder-text", x: holder.cx + (toLeft ? 3 : -3), y: top, "text-anchor": toLeft ? "end" : "start" }, `${name} holds the history`));
  }
  const label = `${count(of.count, "replica")} of ${of.name} on a line of time from ${relative(from, now)} to now. ${holder ? `${holder.one.replicaName} holds the history.` : ""}`;
  return s("svg", { class: "lag", role: "img", "aria-label": label, width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` }, parts);
}

/** The synchronizations of a replica: what went up above the line, what came down below it, failures as crosses. */
export function timelinePicture(all, width, onPick, now) {
  const height = 170;
  const middle = 78;
  const oldest = Math.min(...all.map((one) => one.date));
  const from = oldest - Math.max((now - oldest) * 0.03, 30_000);
  const { x, marks } = axis(from, now, [10, width - 10], height - 26);
  const most = Math.max(1, ...all.flatMap((one) => [one.applied + one.refused, one.sent]));
  const long = (n) => (n === 0 ? 0 : Math.max(4, (Math.log1p(n) / Math.log1p(most)) * 58));
  const parts = [
    s("line", { class: "axis faint", x1: 10, x2: width - 10, y1: middle, y2: middle }),
    s("text", { class: "tick-text", x: 10, y: 12 }, "▲ uploaded"),
    s("text", { class: "tick-text", x: 10, y: height - 34 }, "▼ downloaded"),
    ...marks,
  ];
  for (const one of all) {
    const at = x(one.date);
    const applied = long(one.applied);
    const up = long(one.applied + one.refused);
    const down = long(one.sent);
    const words = one.error
      ? `answered with an error: ${one.error.message}`
      : `${number(one.applied)} edits applied, ${number(one.refused)} refused, ${number(one.sent)} sent`;
    const group = s("g", { class: "sync", onclick: () => onPick(one) }, s("title", {}, `${exact(one.date)}: ${words}`));
    group.append(s("rect", { class: "hit", x: at - 5, y: 16, width: 10, height: height - 52 }));
    if (one.error) {
      group.append(s("path", { class: "cross", d: `M ${at - 5} ${middle - 5} l 10 10 m 0 -10 l -10 10` }));
    } else {
      if (up > 0) {
        group.append(s("rect", { class: "up refused", x: at - 2.5, y: middle - up, width: 5, height: up - applied }));
        group.append(s("rect", { class: "up", x: at - 2.5, y: middle - applied, width: 5, height: applied }));
      }
      if (down > 0) {
        group.append(s("rect", { class: "down", x: at - 2.5, y: middle, width: 5, height: down }));
      }
      if (up + down === 0) {
        group.append(s("circle", { class: "nothing", cx: at, cy: middle, r: 2.5 }));
      }
    }
    parts.push(group);
  }
  const failed = all.filter((one) => one.error).length;
  const label = `${count(all.length, "synchronization")} since ${exact(oldest)}, ${number(failed)} answered with an error`;
  return s("svg", { class: "timeline", role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` }, parts);
}
