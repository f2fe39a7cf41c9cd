import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Outlet, redirect } from "@tanstack/react-router";
import { chat } from "./context";
import { Frame } from "./frame";
import { ChatsScreen } from "./screens/chats";

const rootRoute = createRootRoute({ component: Outlet });
const here = (path: string) => encodeURIComponent(path);

const start = createRoute({
  getParentRoute: () => rootRoute,
  path: "/start",
  validateSearch: (search: Record<string, unknown>): { to?: string } => (typeof search.to === "string" ? { to: search.to } : {}),
  component: lazyRouteComponent(() => import("./screens/start"), "StartScreen"),
});

const inside = createRoute({
  getParentRoute: () => rootRoute,
  id: "inside",
  beforeLoad: ({ location }) => {
    if (!chat.session.get()) throw redirect({ to: "/start", search: location.pathname === "/" ? {} : { to: here(location.pathname) } });
  },
  component: Frame,
});

const index = createRoute({ getParentRoute: () => inside, path: "/", beforeLoad: () => { throw redirect({ to: "/chats" }); } });
const chats = createRoute({ getParentRoute: () => inside, path: "/chats", component: ChatsScreen });
const room = createRoute({ getParentRoute: () => chats, path: "$roomId", component: lazyRouteComponent(() => import("./screens/room"), "RoomScreen") });
const friends = createRoute({ getParentRoute: () => inside, path: "/friends", component: lazyRouteComponent(() => import("./screens/friends"), "FriendsScreen") });
const user = createRoute({ getParentRoute: () => inside, path: "/u/$userId", component: lazyRouteComponent(() => import("./screens/friends"), "UserLink") });
const join = createRoute({ getParentRoute: () => inside, path: "/join/$roomId", component: lazyRouteComponent(() => import("./screens/open"), "JoinLink") });
const open = createRoute({ getParentRoute: () => inside, path: "/open", component: lazyRouteComponent(() => import("./screens/open"), "OpenScreen") });
const services = createRoute({ getParentRoute: () => inside, path: "/services", component: lazyRouteComponent(() => import("./screens/services"), "ServicesScreen") });
const more = createRoute({ getParentRoute: () => inside, path: "/more", component: lazyRouteComponent(() => import("./screens/more"), "MoreScreen") });

const tree = rootRoute.addChildren([start, inside.addChildren([index, chats.addChildren([room]), friends, user, join, open, services, more])]);

export const router = createRouter({ routeTree: tree, defaultPreload: "intent" });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

// Signed out, here or from elsewhere: back to the start.
chat.session.subscribe(() => {
  if (!chat.session.get()) void router.navigate({ to: "/start", search: {} });
});
