//! Statements and works.

pub(crate) mod backup;
pub(crate) mod backup_sessions;
pub(crate) mod cross_signing;
pub(crate) mod dehydrated;
pub(crate) mod device_keys;
pub(crate) mod device_list;
pub(crate) mod devices;
pub(crate) mod forget;
pub(crate) mod one_time;
pub(crate) mod purge;
pub(crate) mod signatures;
pub(crate) mod to_device;
pub(crate) mod upload;
