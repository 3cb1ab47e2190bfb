"use strict";
// Dialogs come by htmx, which sends files only where it is told to.
document.addEventListener("htmx:load", () => {
  for (const input of document.querySelectorAll("#dialog input[type=file]")) {
    input.form.setAttribute("hx-encoding", "multipart/form-data");
  }
});
