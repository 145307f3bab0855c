// Theme, navigation on small screens, times in the viewer's zone, copy buttons, and forms.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const kept = () => localStorage.getItem("eportal-theme") || "auto";
  const paint = () => {
    const theme = kept();
    root.dataset.bsTheme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  };
  root.classList.add("js");
  paint();
  dark.addEventListener("change", paint);

  const utc = (moment) => moment.toISOString().replace("T", " ").slice(0, 19) + " UTC";
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const localise = (within) => {
    for (const time of within.querySelectorAll("time[datetime]:not([title])")) {
      const moment = new Date(time.dateTime);
      if (Number.isNaN(moment.getTime())) continue;
      time.title = utc(moment);
      time.textContent = local.format(moment);
    }
  };
  window.eportal = { localise };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const text = "value" in source ? source.value : source.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without https there is no clipboard: select it, and let the browser copy.
      const range = document.createRange();
      range.selectNodeContents(source);
      if (source.select) source.select();
      else {
        getSelection().removeAllRanges();
        getSelection().addRange(range);
      }
      document.execCommand("copy");
    }
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.copy) copy(button);
    if (button?.dataset.theme) {
      localStorage.setItem("eportal-theme", button.dataset.theme);
      paint();
      press();
    }
    if (button?.dataset.toggles) {
      const open = document.getElementById(button.dataset.toggles).classList.toggle("open");
      button.setAttribute("aria-expanded", String(open));
    }
    if (button?.dataset.dismiss !== undefined) button.closest(".alert").remove();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  // A form that is sent is not sent twice.
  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "true";
  });
  addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
  // A box that ticks all of a table.
  document.addEventListener("change", (event) => {
    if (event.target.dataset?.ticks === undefined) {
      if (event.target.dataset?.submits !== undefined) event.target.form.requestSubmit();
      return;
    }
    for (const box of document.getElementsByName(event.target.dataset.ticks)) {
      box.checked = event.target.checked;
    }
  });

  const press = () => {
    for (const button of document.querySelectorAll("button[data-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.theme === kept()));
    }
  };
  document.addEventListener("DOMContentLoaded", () => {
    localise(document);
    press();
  });
})();
