// Searches the catalogue. Everything is in memory: no request is made, and what others wrote is only ever text.
"use strict";
(() => {
  const PER_PAGE = 50, OFFERED = 500; // as many words as anybody looks through
  const { words, rows } = tilemark;
  const id = (name) => document.getElementById(name);
  const form = id("search"), results = id("results"), pages = id("pages");
  const fields = ["q", "input", "output", "device", "ms", "license", "price", "publisher", "sort"];
  const HOST = words.devices.indexOf("host");

  // What a task takes and gives.
  const ends = words.tasks.map((task) => {
    const side = (text) => (text || "").split(/[+,\s]+/).filter(Boolean);
    const [from, to] = task.split("->");
    return { from: side(from), to: side(to) };
  });
  const apps = rows.map(([publisher, name, version, task, license, price, targets, speeds, size, description]) => {
    const times = new Map();
    for (let at = 0; at < speeds.length; at += 2) times.set(speeds[at], speeds[at + 1]);
    const of = words.publishers[publisher];
    const text = [of + "/" + name, description, words.licenses[license], words.tasks[task],
      ...targets.map((target) => words.devices[target])].join(" ").toLowerCase();
    return { of, name, version, task, license, price, targets, times, size, description, text };
  });

  const element = (tag, attributes, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const option = (value, text) => element("option", { value }, text);
  const sorted = (list) => [...new Set(list)].sort().slice(0, OFFERED);
  const fill = (name, list) => id(name).append(...list.map(([value, text]) => option(value, text)));
  const same = (list) => sorted(list).map((word) => [word, word]);
  fill("input", same(ends.flatMap((task) => task.from)));
  fill("output", same(ends.flatMap((task) => task.to)));
  fill("device", same(words.devices));
  fill("license", same(words.licenses));
  id("publishers").append(...sorted(words.publishers).map((word) => option(word, "")));

  const state = () => Object.fromEntries(fields.map((name) => [name, id(name).value.trim()]));

  // A device runs what ships kernels for the host, from source; a target is what was built for it.
  const runsOn = (app, device) => app.targets.includes(device) || (app.times.has(device) && app.targets.includes(HOST));

  const found = (asked) => {
    const wanted = asked.q.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = ends.map((task) => (!asked.input || task.from.includes(asked.input))
      && (!asked.output || task.to.includes(asked.output)));
    const device = asked.device ? words.devices.indexOf(asked.device) : -1;
    const license = asked.license ? words.licenses.indexOf(asked.license) : -1;
    const most = asked.ms === "" ? Infinity : 1000 * Number(asked.ms);
    const measured = device < 0 ? HOST : device;
    const list = apps.filter((app) => fits[app.task]
      && (asked.price === "" || app.price === Number(asked.price))
      && (license < 0 || app.license === license)
      && (!asked.publisher || app.of.startsWith(asked.publisher.toLowerCase()))
      && (device < 0 || runsOn(app, device))
      && (most === Infinity || (app.times.has(measured) && app.times.get(measured) <= most))
      && wanted.every((word) => app.text.includes(word)));
    const time = (app) => app.times.get(measured) ?? Infinity;
    const less = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    if (asked.sort === "speed") list.sort((a, b) => less(time(a), time(b)));
    if (asked.sort === "size") list.sort((a, b) => a.size - b.size);
    return { list, measured };
  };

  const ms = (microseconds) => {
    const time = microseconds / 1000;
    return time.toFixed(time < 9.995 ? 2 : time < 99.95 ? 1 : 0) + " ms";
  };
  const bytes = (size) => {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    for (; size >= 999.5 && unit < 4; unit += 1) size /= 1000;
    return size.toFixed(unit > 0 && size < 99.95 ? 1 : 0) + " " + units[unit];
  };
  const short = (text, most) => {
    const letters = [...text];
    return letters.length <= most ? text : letters.slice(0, most - 1).join("") + "…";
  };
  const tags = (app, measured) => {
    const task = words.tasks[app.task].replace("->", "→");
    const device = app.times.has(measured) ? measured
      : [...app.times.keys()].sort((a, b) => app.times.get(a) - app.times.get(b))[0];
    const time = device === undefined ? app.targets.map((target) => words.devices[target]).join(", ")
      : ms(app.times.get(device)) + " on " + words.devices[device];
    return [task, app.price ? "Paid" : "Free", words.licenses[app.license], time, bytes(app.size)].filter(Boolean);
  };
  const item = (app, measured) => element("li", {},
    element("h2", {},
      element("a", { href: `apps/${app.of}/${app.name}.html` }, element("span", { class: "of" }, app.of + "/"), app.name),
      " ", element("span", { class: "version" }, element("bdi", {}, app.version))),
    element("p", {}, element("bdi", {}, short(app.description, 220))),
    element("ul", { class: "tags" }, ...tags(app, measured).map((tag) => element("li", {}, element("bdi", {}, short(tag, 60))))));

  let page = 0;
  const show = (toTop) => {
    const asked = state();
    const { list, measured } = found(asked);
    const last = Math.max(0, Math.ceil(list.length / PER_PAGE) - 1);
    page = Math.min(page, last);
    const part = list.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    results.replaceChildren(list.length ? element("ol", { class: "apps", start: page * PER_PAGE + 1 }, ...part.map((app) => item(app, measured)))
      : element("p", { class: "note" }, "Nothing is all of this. Take a filter away, or use fewer words."));
    const number = (count) => count.toLocaleString("en");
    id("count").textContent = list.length === apps.length ? `${number(apps.length)} apps` : `${number(list.length)} of ${number(apps.length)} apps`;
    const turn = (text, to) => {
      const button = element("button", { type: "button" }, text);
      button.disabled = to < 0 || to > last || to === page;
      button.addEventListener("click", () => { page = to; show(true); });
      return button;
    };
    pages.replaceChildren(...(last === 0 ? [] : [element("nav", { class: "pager", "aria-label": "Pages" },
      turn("First", 0), turn("Previous", page - 1), turn("Next", page + 1), turn("Last", last),
      element("span", {}, `Page ${page + 1} of ${number(last + 1)}`))]));
    // So that the way back from an app, and a link, lead to the same list.
    const query = new URLSearchParams(Object.entries(asked).filter(([name, value]) => value && !(name === "sort" && value === "name")));
    if (page) query.set("page", page + 1);
    history.replaceState(null, "", "#" + query);
    const active = ["input", "output", "device", "ms", "license", "price", "publisher"].filter((name) => asked[name]).length;
    id("filters").querySelector("summary").textContent = active ? `Filters (${active})` : "Filters";
    if (toTop) {
      id("bar").scrollIntoView();
      results.querySelector("a")?.focus({ preventScroll: true });
    }
  };
  const read = () => {
    const query = new URLSearchParams(location.hash.slice(1));
    for (const name of fields) if (query.has(name)) id(name).value = query.get(name).slice(0, 200);
    page = Math.max(0, (Number.parseInt(query.get("page"), 10) || 1) - 1);
  };

  form.hidden = id("bar").hidden = false;
  id("filters").open = matchMedia("(min-width: 56rem)").matches;
  const again = () => { page = 0; show(false); };
  form.addEventListener("input", again);
  id("sort").addEventListener("input", again);
  form.addEventListener("reset", () => setTimeout(again));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => { form.reset(); read(); show(false); });
  read();
  show(false);
})();
