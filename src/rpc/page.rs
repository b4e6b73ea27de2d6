//! `PageService`: promised, not there yet.

use tonic::{Request, Response, Status};

use super::status;
use crate::proto::{self, page_service_server::PageService};

/// The service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages;

fn later<T>(what: &str) -> Result<Response<T>, Status> {
    let what = format!("PageService.{what} (attach a CDP client at the lease's cdp_url)");
    Err(status::unimplemented(&what))
}

macro_rules! later {
    ($($rpc:ident $name:literal $request:ident $response:ident;)+) => {
        #[tonic::async_trait]
        impl PageService for Pages {
            $(
                async fn $rpc(
                    &self,
                    _: Request<proto::$request>,
                ) -> Result<Response<proto::$response>, Status> {
                    later($name)
                }
            )+
        }
    };
}

later! {
    navigate "Navigate" NavigateRequest NavigateResponse;
    snapshot "Snapshot" SnapshotRequest SnapshotResponse;
    click "Click" ClickRequest ClickResponse;
    hover "Hover" HoverRequest HoverResponse;
    drag "Drag" DragRequest DragResponse;
    fill "Fill" FillRequest FillResponse;
    r#type "Type" TypeRequest TypeResponse;
    press "Press" PressRequest PressResponse;
    select_option "SelectOption" SelectOptionRequest SelectOptionResponse;
    upload_files "UploadFiles" UploadFilesRequest UploadFilesResponse;
    scroll "Scroll" ScrollRequest ScrollResponse;
    wait_for "WaitFor" WaitForRequest WaitForResponse;
    evaluate "Evaluate" EvaluateRequest EvaluateResponse;
    content "Content" ContentRequest ContentResponse;
    screenshot "Screenshot" ScreenshotRequest ScreenshotResponse;
    pdf "Pdf" PdfRequest PdfResponse;
    list_pages "ListPages" ListPagesRequest ListPagesResponse;
    new_page "NewPage" NewPageRequest NewPageResponse;
    activate_page "ActivatePage" ActivatePageRequest ActivatePageResponse;
    close_page "ClosePage" ClosePageRequest ClosePageResponse;
}
