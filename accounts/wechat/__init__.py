"""WeChat as the outside world: its client, and the stand-in that plays it in the embedded profile."""
