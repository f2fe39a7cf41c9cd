// Keeps the app itself, so that it opens without network. What the chats say lies in IndexedDB.
const KEPT = `haechi-${SHELL.length}-${SHELL.join().length}-${SHELL.find((file) => file.includes("index-")) ?? ""}`;

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(["/", "/icon.svg", "/app.webmanifest", ...SHELL])).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (names) => Promise.all(names.filter((name) => name !== KEPT).map((name) => caches.delete(name)));
  event.waitUntil(caches.keys().then(old).then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || /^\/(_matrix|_haechi|\.well-known|haechi\.json)/.test(url.pathname)) return;
  if (event.request.mode === "navigate") {
    event.respondWith(fetch(event.request).catch(() => caches.match("/")));
    return;
  }
  event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)));
});

self.addEventListener("push", (event) => {
  const said = event.data?.json() ?? {};
  const { title = "Haechi", body = "", room_id: room = "", unread = 0 } = said;
  if (navigator.setAppBadge) navigator.setAppBadge(unread);
  event.waitUntil(self.registration.showNotification(title, { body, tag: room || "haechi", icon: "/icon.svg", data: { room } }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const place = event.notification.data?.room ? `/chats/${encodeURIComponent(event.notification.data.room)}` : "/chats";
  event.waitUntil(
    self.clients.matchAll({ type: "window" }).then(([open]) => (open ? open.focus().then(() => open.navigate(place)) : self.clients.openWindow(place))),
  );
});
