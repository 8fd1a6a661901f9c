//! A PKCS#11 3.2 token with ML-DSA that fails when it is told to.
//!
//! The token is [kryoptic](https://github.com/latchset/kryoptic), whole: real keys, real signatures, sessions and
//! logins in an `SQLite` database that `KRYOPTIC_CONF` names. This library stands before it and, at each call, looks at
//! two environment variables:
//!
//! - `B4AE_TEST_TOKEN_FAULT` names a file of faults, which need not be there: see [`faults`].
//! - `B4AE_TEST_TOKEN_LOG` names a file to which the name of each function is appended when it is called, one a line.
//!
//! Faults and the log apply whichever way a program asks for the functions: `C_GetFunctionList` for those of PKCS#11
//! 2.40, `C_GetInterface` and `C_GetInterfaceList` for any version.

// The names are the standard's.
#![allow(non_snake_case)]

mod calls;
mod faults;

use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::OnceLock;

use kryoptic_lib::fns::general::{fn_get_function_list, fn_get_interface, fn_get_interface_list};
use kryoptic_lib::pkcs11::*;

/// The interfaces of the token, with the functions of [`calls`] in place of its own.
struct Interfaces {
    /// What the token gives out, in its order.
    theirs: Vec<CK_INTERFACE>,
    /// What is given out instead.
    ours: Vec<CK_INTERFACE>,
    /// For `C_GetFunctionList`.
    functions: CK_FUNCTION_LIST,
}

// SAFETY: it holds pointers to functions and to tables that live as long as the process and are only read.
unsafe impl Send for Interfaces {}
// SAFETY: as above.
unsafe impl Sync for Interfaces {}

fn interfaces() -> &'static Interfaces {
    static INTERFACES: OnceLock<Interfaces> = OnceLock::new();
    INTERFACES.get_or_init(|| {
        let mut count = 0;
        assert_eq!(fn_get_interface_list(ptr::null_mut(), &raw mut count), CKR_OK);
        let none = CK_INTERFACE { pInterfaceName: ptr::null(), pFunctionList: ptr::null(), flags: 0 };
        let mut theirs = vec![none; usize::try_from(count).expect("a few")];
        assert_eq!(fn_get_interface_list(theirs.as_mut_ptr(), &raw mut count), CKR_OK);
        let ours = theirs.iter().map(stand_before).collect();

        let mut list = ptr::null_mut();
        assert_eq!(fn_get_function_list(&raw mut list), CKR_OK);
        // SAFETY: the token says that this is where its list is.
        let mut functions = unsafe { *list };
        calls::stand_before!(functions);
        Interfaces { theirs, ours, functions }
    })
}

/// The same interface, with our functions. Those of the token's vendor stay as they are.
fn stand_before(theirs: &CK_INTERFACE) -> CK_INTERFACE {
    // SAFETY: the standard demands a string with a zero at its end.
    let name = unsafe { CStr::from_ptr(theirs.pInterfaceName.cast()) };
    if name != c"PKCS 11" {
        return *theirs;
    }
    // SAFETY: every list of functions begins with its version.
    let version = unsafe { *theirs.pFunctionList.cast::<CK_VERSION>() };
    macro_rules! replaced {
        ($list:ty) => {{
            // SAFETY: the version says which list it is.
            let mut list = unsafe { *theirs.pFunctionList.cast::<$list>() };
            calls::stand_before!(list);
            ptr::from_ref(Box::leak(Box::new(list))).cast::<c_void>()
        }};
    }
    let list = match (version.major, version.minor) {
        (2, _) => replaced!(CK_FUNCTION_LIST),
        (3, 0 | 1) => replaced!(CK_FUNCTION_LIST_3_0),
        _ => replaced!(CK_FUNCTION_LIST_3_2),
    };
    CK_INTERFACE { pFunctionList: list, ..*theirs }
}

/// # Safety
///
/// As PKCS#11 has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: CK_FUNCTION_LIST_PTR_PTR) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    // SAFETY: the caller's, and not null. Nobody writes to a list.
    unsafe { *list = (&raw const interfaces().functions).cast_mut() };
    CKR_OK
}

/// # Safety
///
/// As PKCS#11 has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterface(
    name: CK_UTF8CHAR_PTR,
    version: CK_VERSION_PTR,
    interface: CK_INTERFACE_PTR_PTR,
    flags: CK_FLAGS,
) -> CK_RV {
    let rv = fn_get_interface(name, version, interface, flags);
    if rv == CKR_OK {
        // SAFETY: the token has just filled it in.
        let chosen = unsafe { (**interface).pFunctionList };
        let all = interfaces();
        if let Some(which) = all.theirs.iter().position(|theirs| theirs.pFunctionList == chosen) {
            // SAFETY: the caller's, as above. Nobody writes to an interface.
            unsafe { *interface = (&raw const all.ours[which]).cast_mut() };
        }
    }
    rv
}

/// # Safety
///
/// As PKCS#11 has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetInterfaceList(list: CK_INTERFACE_PTR, count: CK_ULONG_PTR) -> CK_RV {
    let rv = fn_get_interface_list(list, count);
    if rv == CKR_OK && !list.is_null() {
        let ours = &interfaces().ours;
        // SAFETY: the token has just found room for as many.
        unsafe { ptr::copy_nonoverlapping(ours.as_ptr(), list, ours.len()) };
    }
    rv
}
