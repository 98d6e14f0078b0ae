// Keeps relative times fresh; the words are those of foundation/ui/values.py.
const STEPS = [["y", 31557600], ["mo", 2629800], ["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

export function words(seconds) {
  const length = Math.abs(seconds);
  if (length < 5) return "just now";
  const [unit, step] = STEPS.find(([, size]) => length >= size);
  const text = `${Math.floor(length / step)} ${unit}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

export function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const text = words((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(() => { if (!document.hidden) refreshTimes(); }, 15000);
