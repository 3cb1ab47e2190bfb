// The picture of a person, or the first letter of their name in its place.

import { element } from "./parts.js";

export function showFace(frame, { username, avatar }) {
  frame.textContent = avatar ? "" : username[0].toUpperCase();
  if (!avatar) return frame;
  const picture = element("img");
  picture.src = avatar;
  picture.alt = "";
  frame.replaceChildren(picture);
  return frame;
}
