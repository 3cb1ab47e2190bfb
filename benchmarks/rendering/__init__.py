"""What scheduling and dispatching frames costs, beside a bare queue and bare messages: `make benchrendering`."""
