// Shows how far a task is, and its page anew when it has ended.
"use strict";
(() => {
  const box = document.querySelector("[data-task]");
  const bar = box.querySelector("progress");
  const label = box.querySelector("[data-task-label]");
  const look = async () => {
    try {
      const answer = await fetch(box.dataset.task, { headers: { Accept: "application/json" } });
      const task = answer.ok && !answer.redirected ? await answer.json() : null;
      if (task === null || task.state !== "running") {
        location.reload();
        return;
      }
      if (task.label && label.textContent !== task.label) label.textContent = task.label;
      if (task.total > 0) {
        bar.max = task.total;
        bar.value = task.done;
      } else bar.removeAttribute("value");
    } catch {
      // The portal may be restarting: it is asked again.
    }
    setTimeout(look, 700);
  };
  setTimeout(look, 300);
})();
