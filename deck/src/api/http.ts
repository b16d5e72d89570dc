// Calls of the server's HTTP contract, typed by its own page.

import type { components, paths } from "./schema";

export type Schema<N extends keyof components["schemas"]> = components["schemas"][N];
export type Problem = Schema<"Problem">;

type Method = "get" | "post" | "patch" | "delete";
type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths];
type Call<P, M extends Method> = P extends keyof paths
  ? paths[P] extends Record<M, infer C>
    ? C
    : never
  : never;
type Json<R> = R extends { content: { "application/json": infer T } } ? T : never;
type Ok<R> = R extends { 200: infer A }
  ? Json<A>
  : R extends { 201: infer A }
    ? Json<A>
    : R extends { 202: infer A }
      ? Json<A>
      : void;
export type Answer<P, M extends Method> = Call<P, M> extends { responses: infer R } ? Ok<R> : never;
type BodyOf<C> = C extends { requestBody: { content: { "application/json": infer T } } } ? T : undefined;
type Sent<P, M extends Method> = BodyOf<Call<P, M>>;

export type Given = {
  path?: Record<string, string>;
  query?: Record<string, string | number | undefined>;
  signal?: AbortSignal;
};

/** An answer that is a problem; `status` is 0 where the server did not answer. */
export class ServerError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly problem: Problem | null = null,
  ) {
    super(message);
  }
}

const TIMEOUT_MS = 60_000;

function url(path: string, given: Given): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(given.path?.[name] ?? ""));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given.query ?? {})) {
    if (value !== undefined) query.set(name, String(value));
  }
  const text = query.toString();
  return text ? `${filled}?${text}` : filled;
}

async function send(method: Method, path: string, body: unknown, given: Given): Promise<unknown> {
  const init: RequestInit = {
    method: method.toUpperCase(),
    signal: given.signal ?? AbortSignal.timeout(TIMEOUT_MS),
  };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  let answer: Response;
  try {
    answer = await fetch(url(path, given), init);
  } catch (error) {
    throw new ServerError(0, `the server does not answer (${String(error)})`);
  }
  if (answer.ok) return answer.status === 204 ? undefined : answer.json();
  throw await problemOf(answer);
}

async function problemOf(answer: Response): Promise<ServerError> {
  try {
    const problem = (await answer.json()) as Problem;
    return new ServerError(answer.status, problem.detail, problem);
  } catch {
    return new ServerError(answer.status, `${answer.status} ${answer.statusText}`);
  }
}

export function get<P extends PathsWith<"get">>(path: P, given: Given = {}): Promise<Answer<P, "get">> {
  return send("get", path, undefined, given) as Promise<Answer<P, "get">>;
}

export function post<P extends PathsWith<"post">>(
  path: P,
  body: Sent<P, "post">,
  given: Given = {},
): Promise<Answer<P, "post">> {
  return send("post", path, body, given) as Promise<Answer<P, "post">>;
}

export function patch<P extends PathsWith<"patch">>(
  path: P,
  body: Sent<P, "patch">,
  given: Given = {},
): Promise<Answer<P, "patch">> {
  return send("patch", path, body, given) as Promise<Answer<P, "patch">>;
}

export function remove<P extends PathsWith<"delete">>(path: P, given: Given = {}): Promise<Answer<P, "delete">> {
  return send("delete", path, undefined, given) as Promise<Answer<P, "delete">>;
}
