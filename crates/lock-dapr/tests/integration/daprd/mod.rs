mod channels;
mod conformance;
mod facts;
mod faults;
mod keys;
mod refusals;
