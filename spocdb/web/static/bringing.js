/** Pictures that the user brings: dropped, pasted, chosen or photographed. */

const part = (id) => document.getElementById(id);

/** Call `onPicture(file)` with each picture. */
export function acceptPictures(onPicture) {
  choose("pick", "file", onPicture);
  choose("take", "photograph", onPicture);
  addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (file) onPicture(file);
  });
  acceptDrops(onPicture);
}

function choose(button, input, onPicture) {
  part(button).addEventListener("click", () => part(input).click());
  part(input).addEventListener("change", () => {
    const [file] = part(input).files;
    // The same file may be chosen again.
    part(input).value = "";
    if (file) onPicture(file);
  });
}

function acceptDrops(onPicture) {
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (isOver) => part("drop").classList.toggle("is-over", isOver);
  addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => {
    // The pointer left the window, not only an element.
    if (!event.relatedTarget) mark(false);
  });
  addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    mark(false);
    const file = pictureIn(event.dataTransfer);
    if (file) onPicture(file);
  });
}

/** Return the first file that may be a picture; systems do not know the type of every one. */
const pictureIn = (data) =>
  [...(data?.files ?? [])].find((file) => !file.type || file.type.startsWith("image/"));
