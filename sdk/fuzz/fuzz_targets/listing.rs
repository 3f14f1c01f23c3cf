#![no_main]

tilemark_fuzz::target!("listing");
