/** What the page is asked and what it answers, without a transport. */
export interface PageRequest {
  readonly method: string;
  /** As it came, percent-encoded: `/browse/library/busybox:latest?q=…`. */
  readonly target: string;
  readonly authorization: string | null;
  readonly address: string;
  /** `https://registry.example:5000`, as the client named us. */
  readonly origin: string;
}

export interface PageResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
