"use strict";

// The search on Ctrl-K: Enter leads to what is chosen in the list, and else to the first thing that is found, also for
// those who press it before the list is there. The library's script chooses nothing by itself.

document.addEventListener("DOMContentLoaded", () => {
  const field = document.getElementById("search-input-command");
  if (!field) {
    return;
  }
  field.setAttribute("aria-label", field.placeholder);
  document.getElementById("command-submit")?.setAttribute("aria-label", field.placeholder);
  field.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || event.isComposing || document.querySelector("#command-results-list li.active a")) {
        return;
      }
      event.preventDefault();
      event.stopImmediatePropagation();
      if (field.value.trim()) {
        const address = new URL(field.getAttribute("hx-get"), window.location.href);
        address.search = new URLSearchParams({ go: "1", s: field.value });
        window.location.assign(address);
      }
    },
    true,
  );
});
