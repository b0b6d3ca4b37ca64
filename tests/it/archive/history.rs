//! What readers get of a channel with a past.
