//! Players: programs of other people that seek in what is streamed.
