// Comfort only: every page works without this script.
"use strict";

// Copies the value of a field.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy");
    }
    const label = button.textContent;
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// Subscribes in a feed reader on the person's own server, whose address stays in this browser.
for (const form of document.querySelectorAll("form[data-path]")) {
  const field = form.querySelector("input");
  const remembered = () => { try { return localStorage; } catch { return null; } };
  form.hidden = false;
  field.value = remembered()?.getItem(field.id) ?? "";
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const address = field.value.replace(/\/+$/, "");
    if (!/^https?:\/\//.test(address)) return;
    remembered()?.setItem(field.id, address);
    location.href = address + form.dataset.path + encodeURIComponent(form.dataset.feed);
  });
}
for (const note of document.querySelectorAll(".own-help")) note.hidden = false;

// Shows times in the person's own time zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const date = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = date.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}
