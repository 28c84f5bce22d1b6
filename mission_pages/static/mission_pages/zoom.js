// Zooming, moving and swiping a picture in its frame: by pinch, double tap, wheel, drag and keys.
//
// A view is { scale, x, y }: scale 1 shows the whole picture, and x and y, from 0 to 1, are the point of the picture in the
// middle of the frame. So the same view shows the same part of pictures of different sizes.

const WHOLE = { scale: 1, x: 0.5, y: 0.5 };
const STEP = 1.4; // of the buttons and keys
const LARGEST = 12;
const SWIPE = 56; // pixels that a finger must move
const DOUBLE_TAP = 300; // milliseconds

/**
 * Make the content of a frame zoomable and return its control, whose methods are below.
 * `onView` is called with each new view; `onSwipe` with "left", "right" or "down" when a whole picture is swiped.
 */
export function zoomable(frame, { onView = () => {}, onSwipe = null } = {}) {
  let element = null;
  let view = WHOLE;
  const pointers = new Map();
  let pointerType = ""; // of the pointer that touched the frame last
  let gesture = null; // how it began: { view, x, y, distance }
  let lastTap = { at: -Infinity, x: 0, y: 0 }; // `at`: the time of the event, not of its handling

  const canZoom = () => element?.matches("img, video:not([controls])") ?? false;

  /** Return the scale at which a pixel of the picture is a pixel of the screen; 1 while its size is not known. */
  const fullScale = () => Number(element.dataset.width ?? 0) / (element.offsetWidth * devicePixelRatio) || 1;

  const limit = (scale) => Math.min(Math.max(scale, 1), Math.max(LARGEST, fullScale() * 2));

  function clamp({ scale, x, y }) {
    const limited = limit(scale);
    const inside = (value, size, available) => {
      const half = available / (2 * size * limited);
      return half >= 0.5 ? 0.5 : Math.min(Math.max(value, half), 1 - half);
    };
    return {
      scale: limited,
      x: inside(x, element.offsetWidth, frame.clientWidth),
      y: inside(y, element.offsetHeight, frame.clientHeight),
    };
  }

  /** Show a view without calling `onView`. */
  function set(next) {
    if (!canZoom()) return;
    view = clamp(next);
    const { scale, x, y } = view;
    const [left, top] = [(0.5 - x) * element.offsetWidth * scale, (0.5 - y) * element.offsetHeight * scale];
    element.style.transform = scale === 1 ? "" : `translate(${left}px, ${top}px) scale(${scale})`;
    frame.classList.toggle("is-zoomed", scale > 1);
  }

  function change(next) {
    set(next);
    onView(view);
  }

  /** Change the scale so that the point at `at`, in pixels from the middle of the frame, stays where it is. */
  function zoomTo(scale, at = { x: 0, y: 0 }, from = view) {
    if (!canZoom()) return;
    const next = limit(scale);
    const moved = (value, pixels, size) => value + pixels / (size * from.scale) - pixels / (size * next);
    change({
      scale: next,
      x: moved(from.x, at.x, element.offsetWidth),
      y: moved(from.y, at.y, element.offsetHeight),
    });
  }

  /** Go from the whole picture to its full size, or to twice the size of one that is shown in full, or back. */
  function toggle(at) {
    if (canZoom()) zoomTo(view.scale > 1 ? 1 : fullScale() > 1.05 ? fullScale() : 2, at);
  }

  function fromMiddle({ clientX, clientY }) {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  }

  function begin() {
    const [first, second] = [...pointers.values()];
    const middle = second ? { x: (first.x + second.x) / 2, y: (first.y + second.y) / 2 } : first;
    gesture = first && { view, ...middle, distance: second ? Math.hypot(first.x - second.x, first.y - second.y) : 0 };
  }

  frame.addEventListener("pointerdown", (event) => {
    if (!element || event.target.closest("button, a, video[controls]") || event.button !== 0) return;
    ({ pointerType } = event);
    pointers.set(event.pointerId, fromMiddle(event));
    begin();
    if (event.pointerType !== "mouse" || view.scale > 1) frame.setPointerCapture(event.pointerId);
  });

  frame.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId) || !gesture) return;
    if (event.pointerType === "mouse" && event.buttons === 0) {
      pointers.clear(); // it was released outside the frame
      return;
    }
    pointers.set(event.pointerId, fromMiddle(event));
    const [first, second] = [...pointers.values()];
    if (second) {
      const middle = { x: (first.x + second.x) / 2, y: (first.y + second.y) / 2 };
      if (canZoom()) zoomTo((gesture.view.scale * Math.hypot(first.x - second.x, first.y - second.y)) / gesture.distance, middle, gesture.view);
      return;
    }
    const [dx, dy] = [first.x - gesture.x, first.y - gesture.y];
    if (view.scale > 1) {
      const { scale, x, y } = gesture.view;
      change({ scale, x: x - dx / (element.offsetWidth * scale), y: y - dy / (element.offsetHeight * scale) });
    } else if (onSwipe && event.pointerType !== "mouse") {
      element.style.transform = Math.abs(dx) > Math.abs(dy) ? `translateX(${dx}px)` : `translateY(${Math.max(dy, 0)}px)`;
    }
  });

  function end(event) {
    if (!pointers.has(event.pointerId)) return;
    const last = fromMiddle(event);
    const wasSingle = pointers.size === 1;
    pointers.delete(event.pointerId);
    const start = gesture;
    begin();
    if (!wasSingle || !start) return;
    const [dx, dy] = [last.x - start.x, last.y - start.y];
    const isTap = Math.hypot(dx, dy) < 12 && event.type === "pointerup" && event.pointerType !== "mouse";
    if (isTap && event.timeStamp - lastTap.at < DOUBLE_TAP && Math.hypot(last.x - lastTap.x, last.y - lastTap.y) < 40) {
      lastTap = { at: -Infinity, x: 0, y: 0 };
      toggle(last);
      return;
    }
    if (isTap) lastTap = { at: event.timeStamp, ...last };
    if (view.scale > 1 || event.pointerType === "mouse") return;
    element.style.transform = "";
    if (event.type !== "pointerup" || !onSwipe) return;
    if (Math.abs(dx) > SWIPE && Math.abs(dx) > Math.abs(dy)) onSwipe(dx < 0 ? "left" : "right");
    else if (dy > SWIPE * 1.5 && dy > Math.abs(dx)) onSwipe("down");
  }

  // A swipe must not also be a fling of the browser: that would swallow a tap on a button soon after it.
  frame.addEventListener("touchmove", (event) => canZoom() && event.cancelable && event.preventDefault(), { passive: false });
  frame.addEventListener("pointerup", end);
  frame.addEventListener("pointercancel", end);
  frame.addEventListener("dblclick", (event) => {
    const isMouse = pointerType === "mouse"; // a double tap has been answered already, by `end`
    if (isMouse && !event.target.closest("button, a")) toggle(fromMiddle(event));
  });
  frame.addEventListener(
    "wheel",
    (event) => {
      if (!canZoom()) return; // a text scrolls
      event.preventDefault();
      zoomTo(view.scale * 1.002 ** -event.deltaY, fromMiddle(event));
    },
    { passive: false },
  );

  return {
    /** Show an element as a whole. */
    show(next) {
      element = next;
      view = WHOLE;
      pointers.clear();
      gesture = null;
      frame.classList.remove("is-zoomed");
      frame.classList.toggle("can-zoom", canZoom());
    },
    view: () => view,
    set,
    zoom: (factor) => zoomTo(view.scale * factor),
    toggle,
    whole: () => canZoom() && change(WHOLE),
    /** Move the picture by a part of the frame. */
    move: (dx, dy) => canZoom() && change({ ...view, x: view.x + dx / view.scale, y: view.y + dy / view.scale }),
    percent: () => (canZoom() ? Math.round((100 * view.scale) / fullScale()) : 100),
  };
}

/** Do what a button says: "in", "out" or "toggle". */
export function zoomByButton(control, name) {
  if (name === "toggle") control.toggle();
  else control.zoom(name === "in" ? STEP : 1 / STEP);
}

/** Do what a key means for a zoomable picture. Return true if it means something. */
export function zoomByKey(control, event) {
  const action = {
    "+": () => control.zoom(STEP),
    "=": () => control.zoom(STEP),
    "-": () => control.zoom(1 / STEP),
    0: () => control.whole(),
    1: () => control.toggle(),
    z: () => control.toggle(),
    ...(event.shiftKey && {
      ArrowLeft: () => control.move(-0.2, 0),
      ArrowRight: () => control.move(0.2, 0),
      ArrowUp: () => control.move(0, -0.2),
      ArrowDown: () => control.move(0, 0.2),
    }),
  }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  action?.();
  return action !== undefined;
}
