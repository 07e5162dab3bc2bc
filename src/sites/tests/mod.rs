//! The part as a whole, against engines that hang, lie, forget and refuse.
