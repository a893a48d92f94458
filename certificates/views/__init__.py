"""The customers' panels over a certificate's life: in the drawer beside the Overview, or a page each."""
