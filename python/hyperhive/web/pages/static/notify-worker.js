// Shows notifications where a page may not do so itself, and leads from one to the page. It fetches and keeps nothing.

addEventListener("notificationclick", (event) => {
  event.notification.close();
  const { view } = event.notification.data;
  const page = new URL("../", location.href);
  event.waitUntil(
    clients.matchAll({ type: "window", includeUncontrolled: true }).then((open) => {
      const found = open.find(({ url }) => url.split("#")[0] === page.href);
      return found ? found.focus() : clients.openWindow(`${page.href}${view}`);
    }),
  );
});
