//! ruma's requests with other responses.

use std::marker::PhantomData;

use http::{HeaderValue, Method};
use ruma::api::{
    IncomingRequest, Metadata, OutgoingBody, OutgoingResponse,
    error::{DeserializationError, IntoHttpError},
};
use serde::Serialize;

/// The request `R`, answered with `O` where ruma's response says things that clients or the
/// specification do not expect, such as `null` for what is not known.
pub(crate) struct Answered<R, O> {
    /// The request.
    pub(crate) inner: R,
    answer: PhantomData<fn() -> O>,
}

impl<R: Metadata, O> Metadata for Answered<R, O> {
    const METHOD: Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: R::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest, O: Serialize> IncomingRequest for Answered<R, O> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = Answer<O>;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let inner = R::try_from_http_request_inner(request, path_args)?;
        Ok(Self { inner, answer: PhantomData })
    }
}

/// A response that is `O` as JSON.
pub(crate) struct Answer<O>(pub(crate) O);

impl<O: Serialize> OutgoingResponse for Answer<O> {
    type Body = JsonBody<O>;

    fn try_into_http_response_inner(self) -> Result<http::Response<Self::Body>, IntoHttpError> {
        Ok(http::Response::new(JsonBody(self.0)))
    }
}

/// A body of JSON.
pub(crate) struct JsonBody<O>(O);

impl<O: Serialize> OutgoingBody for JsonBody<O> {
    type Error = serde_json::Error;

    fn content_type(&self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static("application/json"))
    }

    fn try_into_buf<T: Default + bytes::BufMut + AsRef<[u8]>>(self) -> serde_json::Result<T> {
        let mut buf = T::default();
        buf.put_slice(&serde_json::to_vec(&self.0)?);
        Ok(buf)
    }
}
