// Asks once a second for what is still going on: an element says by data-again who tells of it, and
// is replaced by what comes, which no longer says so when it has ended.
"use strict";
(() => {
  const PERIOD = 1000;
  const look = async (element) => {
    let next = element;
    try {
      const answer = await fetch(element.dataset.again, { headers: { Accept: "text/html" } });
      if (answer.redirected || !answer.ok) {
        location.reload();
        return;
      }
      const parsed = document.createElement("template");
      parsed.innerHTML = await answer.text();
      next = parsed.content.firstElementChild;
      element.replaceWith(next);
      eportal.localise(next);
    } catch {
      // The portal may be restarting: it is asked again.
    }
    if (next.dataset.again !== undefined) setTimeout(look, PERIOD, next);
  };
  for (const element of document.querySelectorAll("[data-again]")) setTimeout(look, PERIOD, element);
})();
