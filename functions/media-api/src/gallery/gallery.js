"use strict";
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);
  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const grid = find("#grid");
  const status = find("#status");

  // A thumbnail appears when it is there. One that is not made yet is replaced by the picture itself,
  // which the file's address leads to when it is asked for as a picture.
  const watch = (tile) => {
    const image = find("img", tile);
    if (!image) return;
    const show = () => image.classList.remove("waits");
    image.addEventListener("load", show);
    image.addEventListener("error", () => {
      const whole = find("a", tile).href;
      if (image.src === whole) show();
      else image.src = whole;
    });
    if (!image.complete) image.classList.add("waits");
    else if (!image.naturalWidth) image.src = find("a", tile).href;
  };
  const page = async (address) => {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  const tiles = (within) => [...within.querySelectorAll("#grid > li")];

  if (grid) {
    tiles(document).forEach(watch);
    scrolling();
    suggestions();
    if (find("#files")) uploads();
  }
  if (find(".shown")) unshown();
  if (find("#delete")) deletion();

  // A broken picture, or a video of a kind that the browser does not play.
  function unshown() {
    const shown = find(".shown");
    const tell = () => shown.replaceWith(make("p", { textContent: "The browser cannot show this file." }));
    shown.addEventListener("error", tell);
    if (shown.error || (shown.complete && !shown.naturalWidth)) tell();
  }

  // The next page, when the end of this one comes near.
  function scrolling() {
    const more = find("#more");
    let isLoading = false;
    const load = async (link) => {
      if (isLoading) return;
      isLoading = true;
      status.textContent = "Loading more…";
      link.setAttribute("aria-disabled", "true");
      try {
        const next = await page(link.href);
        const hadFocus = document.activeElement === link;
        const added = tiles(next);
        added.forEach(watch);
        grid.append(...added);
        const following = find("#more > a", next);
        link.remove();
        if (following) more.prepend(following);
        if (hadFocus && added.length) find("a", added[0]).focus();
        const count = tiles(document).length;
        status.textContent = following ? `${count} files shown` : `${count} files: that is all`;
      } catch {
        link.removeAttribute("aria-disabled");
        link.textContent = "Try again";
        status.textContent = "The next files could not be loaded.";
        isLoading = false;
        return;
      }
      isLoading = false;
      look();
    };
    const look = () => {
      const link = find("#more > a");
      const isNear = link && link.getBoundingClientRect().top < innerHeight + 600;
      if (isNear && link.textContent !== "Try again") load(link);
    };
    more.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault();
      load(link);
    });
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look, { passive: true });
    look();
  }

  // Labels that begin with what is typed. A stage that knows none has no suggestions.
  function suggestions() {
    const field = find("#label");
    const list = find("#labels");
    let asked = "";
    let timer;
    const suggest = async () => {
      const prefix = field.value.trim();
      if (!prefix || prefix === asked) return;
      asked = prefix;
      const answer = await fetch(`/labels?limit=8&prefix=${encodeURIComponent(prefix)}`).catch(() => null);
      if (!answer || !answer.ok || prefix !== asked) return;
      const labels = await answer.json();
      list.replaceChildren(...labels.map(({ label, count }) => make("option", { value: label, label: `${label} (${count})` })));
    };
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(suggest, 150);
    });
  }

  function uploads() {
    const chooser = find("#files");
    const panel = find("#uploads");
    const rows = find("ul", panel);
    const announcer = find("#announcer");
    const waiting = [];
    let running = 0;

    const add = (files) => {
      for (const file of files) {
        const row = make("li");
        const bar = make("progress", { max: 1, value: 0 });
        bar.setAttribute("aria-label", `Upload of ${file.name}`);
        row.append(make("span", { className: "file", textContent: file.name }), bar, make("span", { className: "said", textContent: "Waiting" }));
        rows.prepend(row);
        waiting.push({ file, row, bar });
      }
      panel.hidden = false;
      start();
    };
    const start = () => {
      while (running < 3 && waiting.length) {
        const upload = waiting.shift();
        running += 1;
        one(upload).catch((error) => fail(upload, error.message)).finally(() => { running -= 1; start(); });
      }
    };
    const say = ({ row, file }, text, isNews) => {
      find(".said", row).textContent = text;
      if (isNews) announcer.textContent = `${file.name}: ${text}`;
    };
    const fail = (upload, text) => {
      upload.row.classList.add("failed");
      upload.bar.hidden = true;
      say(upload, text, true);
    };

    const one = async (upload) => {
      const { file } = upload;
      const before = await known(file.name);
      const asked = await fetch("/uploads", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: file.name, type: file.type, size: file.size }),
      });
      if ([401, 403].includes(asked.status)) throw new Error("You may not upload here.");
      const form = await asked.json();
      if (!asked.ok) throw new Error(form.Message ? form.Message.replace(/^\w+: /, "") : "The upload was refused.");
      await send(upload, form);
      upload.bar.removeAttribute("value");
      say(upload, "Uploaded. It appears here when it is labelled.", true);
      await labelled(upload, before);
    };
    // With progress, which fetch does not tell.
    const send = ({ file, bar, row }, { url, fields }) => new Promise((done, failed) => {
      const form = new FormData();
      fields.forEach(([name, value]) => form.append(name, value));
      form.append("file", file);
      const request = new XMLHttpRequest();
      request.upload.addEventListener("progress", ({ loaded, total }) => {
        bar.value = loaded / total;
        find(".said", row).textContent = `${Math.round((100 * loaded) / total)} %`;
      });
      request.addEventListener("load", () => {
        if (request.status < 300) return done();
        const reason = find("Message", new DOMParser().parseFromString(request.responseText, "text/xml"));
        failed(new Error(`The bucket refused the file: ${reason ? reason.textContent : request.status}`));
      });
      request.addEventListener("error", () => failed(new Error("The connection failed. Try again.")));
      request.open("POST", url);
      request.send(form);
    });

    const addressOf = (name) => `/${encodeURIComponent(name.replace(/%/g, "%25").replace(/\?/g, "%3F"))}`;
    const known = async (name) => {
      const answer = await fetch(addressOf(name), { headers: { accept: "application/json" } }).catch(() => null);
      return answer && answer.ok ? answer.json() : null;
    };
    // A photo is labelled in a second, a video in minutes.
    const labelled = async (upload, before) => {
      for (let seconds = 0.5; ; seconds = Math.min(seconds * 1.3, 10)) {
        await pause(seconds);
        const item = await known(upload.file.name);
        if (!item) continue;
        if (item.error) return fail(upload, `It could not be labelled: ${item.error.Message}`);
        upload.bar.hidden = true;
        say(upload, before ? "Replaced." : item.labels.length ? item.labels.slice(0, 4).join(", ") : "Nothing was recognized.", true);
        return show(item.name);
      }
    };
    // Puts the tile where it is in the order of names, if this page shows that part of the library.
    const show = async (name) => {
      const query = new URLSearchParams(location.search);
      query.delete("cursor");
      query.set("startswith", name);
      query.set("limit", "10");
      const [tile] = tiles(await page(`/?${query}`)).filter((tile) => tile.dataset.name === name);
      if (!tile) return;
      watch(tile);
      tile.classList.add("new");
      const all = tiles(document);
      const same = all.find((other) => other.dataset.name === name);
      if (same) return same.replaceWith(tile);
      const after = all.find((other) => other.dataset.name > name);
      if (!after && find("#more > a")) return;
      grid.insertBefore(tile, after || null);
      const empty = find("#empty");
      if (empty) empty.remove();
    };

    chooser.addEventListener("change", () => {
      add(chooser.files);
      chooser.value = "";
    });
    find("#dismiss").addEventListener("click", () => { panel.hidden = true; });
    let depth = 0;
    const drop = (change) => {
      depth = Math.max(0, depth + change);
      document.body.classList.toggle("dropping", depth > 0);
    };
    const hasFiles = (event) => event.dataTransfer && event.dataTransfer.types.includes("Files");
    addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); drop(1); } });
    addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    addEventListener("dragleave", (event) => { if (hasFiles(event)) drop(-1); });
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      drop(-depth);
      add(event.dataTransfer.files);
    });
  }

  function deletion() {
    const button = find("#delete");
    const dialog = find("#confirm");
    const { path } = dialog.dataset;
    button.hidden = false;
    button.addEventListener("click", () => dialog.showModal());
    find("#keep").addEventListener("click", () => dialog.close());
    find("#really").addEventListener("click", async () => {
      dialog.close();
      button.disabled = true;
      status.textContent = "Deleting…";
      try {
        const answer = await fetch(path, { method: "DELETE" });
        if (!answer.ok) throw new Error(answer.status);
        // The catalogue follows the bucket.
        for (let tries = 0; tries < 40; tries += 1) {
          const left = await fetch(path, { headers: { accept: "application/json" } });
          if (left.status === 404) break;
          await pause(0.25);
        }
        location.assign("/");
      } catch {
        button.disabled = false;
        status.textContent = "The file could not be deleted. Try again.";
      }
    });
  }
})();
