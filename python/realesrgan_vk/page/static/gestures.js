// What pointers that are held down do: one moves, two zoom.

// Calls `moved` with the distance that a pointer has gone since the last call, and `pinched` with by
// how much two have gone apart, and their middle.
export function follow(element, moved, pinched = () => {}) {
  const held = new Map(); // by the pointer: where it is

  element.addEventListener("pointerdown", (event) => {
    if (event.button || event.target.closest("input, button")) return;
    element.setPointerCapture(event.pointerId);
    held.set(event.pointerId, [event.clientX, event.clientY]);
  });
  element.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (!other) {
      moved(dx, dy, event);
      return;
    }
    const apart = (one) => Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1]));
    pinched(apart(now) / apart(before), {
      clientX: (now[0] + other[0]) / 2,
      clientY: (now[1] + other[1]) / 2,
      dx: dx / 2,
      dy: dy / 2,
    });
  });
  for (const kind of ["pointerup", "pointercancel", "lostpointercapture"]) {
    element.addEventListener(kind, (event) => held.delete(event.pointerId));
  }
}
