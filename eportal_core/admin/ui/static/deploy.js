// Sends an archive and shows how much of it was sent; the form does the same without.
"use strict";
(() => {
  const form = document.querySelector("form[data-upload]");
  const box = form.querySelector("[data-upload-progress]");
  const label = box.querySelector("[data-upload-label]");
  const bar = box.querySelector("progress");
  const button = form.querySelector("button");
  const fail = (sentence) => {
    label.textContent = sentence;
    bar.hidden = true;
    button.disabled = false;
    delete form.dataset.sent;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    box.hidden = false;
    const file = form.elements.archive.files[0];
    if (file.size > Number(form.dataset.limit)) {
      setTimeout(() => fail(`The file is larger than ${form.dataset.limit} bytes (ARCHIVE_MAX_BYTES).`));
      return;
    }
    bar.hidden = false;
    button.disabled = true;
    label.textContent = "Sending it to the portal";
    const request = new XMLHttpRequest();
    request.upload.addEventListener("progress", (sent) => {
      if (sent.lengthComputable) bar.value = sent.loaded / sent.total;
    });
    request.addEventListener("load", () => {
      if (request.status < 400) location.assign(request.responseURL);
      else {
        let sentence = "The portal refused it.";
        try {
          sentence = JSON.parse(request.responseText).detail || sentence;
        } catch {
          if (request.responseText.length < 300) sentence = request.responseText || sentence;
        }
        fail(sentence);
      }
    });
    request.addEventListener("error", () => fail("The portal did not take it to the end: try again."));
    request.open("POST", form.action);
    request.send(new FormData(form));
  });
})();
