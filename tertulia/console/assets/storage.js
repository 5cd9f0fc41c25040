// A browser may refuse all storage to a frame in another site's page: even to look at it throws there, and the page
// would stay empty. What would be kept is then kept until the page is left.
try {
  window.sessionStorage;
} catch {
  Object.defineProperty(window, "sessionStorage", { value: {} });
}
