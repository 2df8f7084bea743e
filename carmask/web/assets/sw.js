// Keeps the page's own small files, so that it opens without a connection; the worker keeps the network's itself.
// What the server sends is taken first, so that a site that is published again is seen at once. The two headers let the
// network use all cores (crossOriginIsolated) from the second visit on, where the server does not send them itself.
"use strict";

const KEPT = `carmask page ${self.registration.scope}`;
const OWN = ["./", "page.js", "worker.js", "saving.js", "page.css"].map(name => new URL(name, self.registration.scope).href);

self.addEventListener("install", event => {
  event.waitUntil(caches.open(KEPT).then(cache => cache.addAll(OWN)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", event => {
  const address = event.request.url.replace(/(index\.html)?([?#].*)?$/, "");
  if (event.request.method === "GET" && OWN.includes(address)) event.respondWith(fresh(event.request, address));
});

async function fresh(request, address) {
  const cache = await caches.open(KEPT);
  const answer = await fetch(request).catch(() => null);
  if (answer?.ok) await cache.put(address, answer.clone()).catch(() => {}); // a full disk keeps nothing
  const given = answer ?? await cache.match(address) ?? Response.error();
  if (given.type === "error" || given.type === "opaqueredirect") return given;
  const headers = new Headers(given.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(given.body, {status: given.status, statusText: given.statusText, headers});
}
