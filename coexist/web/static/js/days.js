// Every bubble knows its day; the first one of each day shows it.
export function markDays(list) {
  let day = "";
  for (const message of list.getElementsByClassName("message")) {
    message.classList.toggle("opens-day", message.dataset.day !== day);
    day = message.dataset.day;
  }
}
