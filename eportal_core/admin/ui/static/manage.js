// Hides what was shown of choices once there are others.
"use strict";
document.getElementById("what").addEventListener("change", () => {
  for (const shown of document.querySelectorAll("[data-preview]")) shown.hidden = true;
  for (const told of document.querySelectorAll("[data-changed]")) told.hidden = false;
});
