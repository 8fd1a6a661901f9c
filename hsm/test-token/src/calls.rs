//! The functions that stand before the token's.

use std::sync::OnceLock;

use kryoptic_lib::fns::general::fn_get_interface;
use kryoptic_lib::pkcs11::*;

use crate::faults::{self, Verdict};

/// The token's own functions.
fn theirs() -> &'static CK_FUNCTION_LIST_3_2 {
    struct List(&'static CK_FUNCTION_LIST_3_2);
    // SAFETY: a table of functions that is only read.
    unsafe impl Send for List {}
    // SAFETY: as above.
    unsafe impl Sync for List {}
    static LIST: OnceLock<List> = OnceLock::new();
    LIST.get_or_init(|| {
        let mut interface: CK_INTERFACE_PTR = std::ptr::null_mut();
        assert_eq!(fn_get_interface(std::ptr::null_mut(), std::ptr::null_mut(), &raw mut interface, 0), CKR_OK);
        // SAFETY: its default interface is of 3.2, and static.
        List(unsafe { &*(*interface).pFunctionList.cast() })
    })
    .0
}

/// Defines the functions, and the macro that puts them into a list of any version.
macro_rules! functions {
    ($dollar:tt; $($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            pub(crate) unsafe extern "C" fn $name($($argument: $type),*) -> CK_RV {
                if let Verdict::Return(rv) = faults::at(stringify!($name)) {
                    return rv;
                }
                let Some(theirs) = theirs().$name else { return CKR_FUNCTION_NOT_SUPPORTED };
                // SAFETY: the caller's arguments, which are for this function.
                unsafe { theirs($($argument),*) }
            }
        )*

        macro_rules! stand_before {
            ($dollar list:ident) => {
                $($dollar list.$name = Some(calls::$name);)*
                $dollar list.C_Sign = Some(calls::C_Sign);
            };
        }
        pub(crate) use stand_before;
    };
}

/// The one function whose result can be spoilt.
pub(crate) unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: CK_BYTE_PTR,
    data_len: CK_ULONG,
    signature: CK_BYTE_PTR,
    len: CK_ULONG_PTR,
) -> CK_RV {
    // Without room for a signature it is asked for the length, which is not a call of its own.
    let verdict = if signature.is_null() { Verdict::Work } else { faults::at("C_Sign") };
    if let Verdict::Return(rv) = verdict {
        return rv;
    }
    let Some(theirs) = theirs().C_Sign else { return CKR_FUNCTION_NOT_SUPPORTED };
    // SAFETY: the caller's arguments, which are for this function.
    let rv = unsafe { theirs(session, data, data_len, signature, len) };
    if rv == CKR_OK && matches!(verdict, Verdict::Spoil) {
        // SAFETY: a signature has just been written there.
        unsafe { *signature ^= 1 };
    }
    rv
}

functions! { $;
    C_Initialize(args: CK_VOID_PTR);
    C_Finalize(reserved: CK_VOID_PTR);
    C_GetInfo(info: CK_INFO_PTR);
    C_GetSlotList(present: CK_BBOOL, list: CK_SLOT_ID_PTR, count: CK_ULONG_PTR);
    C_GetSlotInfo(slot: CK_SLOT_ID, info: CK_SLOT_INFO_PTR);
    C_GetTokenInfo(slot: CK_SLOT_ID, info: CK_TOKEN_INFO_PTR);
    C_GetMechanismList(slot: CK_SLOT_ID, list: CK_MECHANISM_TYPE_PTR, count: CK_ULONG_PTR);
    C_GetMechanismInfo(slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE, info: CK_MECHANISM_INFO_PTR);
    C_InitToken(slot: CK_SLOT_ID, pin: CK_UTF8CHAR_PTR, len: CK_ULONG, label: CK_UTF8CHAR_PTR);
    C_InitPIN(session: CK_SESSION_HANDLE, pin: CK_UTF8CHAR_PTR, len: CK_ULONG);
    C_OpenSession(
        slot: CK_SLOT_ID, flags: CK_FLAGS, data: CK_VOID_PTR, notify: CK_NOTIFY, session: CK_SESSION_HANDLE_PTR
    );
    C_CloseSession(session: CK_SESSION_HANDLE);
    C_CloseAllSessions(slot: CK_SLOT_ID);
    C_GetSessionInfo(session: CK_SESSION_HANDLE, info: CK_SESSION_INFO_PTR);
    C_Login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: CK_UTF8CHAR_PTR, len: CK_ULONG);
    C_Logout(session: CK_SESSION_HANDLE);
    C_CreateObject(
        session: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG, object: CK_OBJECT_HANDLE_PTR
    );
    C_CopyObject(
        session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        copy: CK_OBJECT_HANDLE_PTR
    );
    C_DestroyObject(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE);
    C_GetAttributeValue(
        session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG
    );
    C_SetAttributeValue(
        session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG
    );
    C_FindObjectsInit(session: CK_SESSION_HANDLE, template: CK_ATTRIBUTE_PTR, count: CK_ULONG);
    C_FindObjects(session: CK_SESSION_HANDLE, objects: CK_OBJECT_HANDLE_PTR, max: CK_ULONG, count: CK_ULONG_PTR);
    C_FindObjectsFinal(session: CK_SESSION_HANDLE);
    C_GenerateKey(
        session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, template: CK_ATTRIBUTE_PTR, count: CK_ULONG,
        key: CK_OBJECT_HANDLE_PTR
    );
    C_GenerateKeyPair(
        session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, public: CK_ATTRIBUTE_PTR, public_count: CK_ULONG,
        private: CK_ATTRIBUTE_PTR, private_count: CK_ULONG, public_key: CK_OBJECT_HANDLE_PTR,
        private_key: CK_OBJECT_HANDLE_PTR
    );
    C_SignInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE);
    C_VerifyInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, key: CK_OBJECT_HANDLE);
    C_Verify(session: CK_SESSION_HANDLE, data: CK_BYTE_PTR, data_len: CK_ULONG, signature: CK_BYTE_PTR, len: CK_ULONG);
    C_WrapKey(
        session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, wrapping: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE,
        wrapped: CK_BYTE_PTR, len: CK_ULONG_PTR
    );
    C_UnwrapKey(
        session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_PTR, unwrapping: CK_OBJECT_HANDLE, wrapped: CK_BYTE_PTR,
        len: CK_ULONG, template: CK_ATTRIBUTE_PTR, count: CK_ULONG, key: CK_OBJECT_HANDLE_PTR
    );
    C_GenerateRandom(session: CK_SESSION_HANDLE, data: CK_BYTE_PTR, len: CK_ULONG);
}
