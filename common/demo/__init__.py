"""The main job, done as a REST client would do it: nothing here touches the platform but over HTTP and sockets."""
